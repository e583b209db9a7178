"""What `docs/values.md` says about values without a declared type is true with the real server too.

A test of the worker writes the page; there the test replaces the server."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Stepflow

PAGE = (Path(__file__).parents[2] / "docs" / "values.md").read_text(encoding="utf-8")

CONFIG = """\
plugins: {python: {type: stepflow, command: stepflow-worker, args: [OPTIONS]}}
routes: {"/python/{*component}": [{plugin: python}]}
"""

COMPONENTS = f"""\
import dataclasses, enum, math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import NamedTuple
from uuid import UUID
import msgspec, pydantic
from pydantic import SecretStr
from stepflow.worker import StepflowServer
{re.findall(r"```python(.*?)```", PAGE, re.DOTALL)[0]}
class float_of_numpy(float):
    pass
def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value
def itself():
    value = []
    value.append(value)
    return value

server = StepflowServer()

@server.component
def leaves(input):
    return {{"x": eval(input)}}

@server.component
def arrives(input):
    return ascii(input["x"]) if len(ascii(input["x"])) < 99 else "as it is"
"""

FLOW = "steps: [{id: s, component: /python/%s, input: {$input: $}}]\noutput: {$step: s}\n"

IN_WORDS = {
    "127 nested arrays": "[" * 127 + "1" + "]" * 127,
    "128 nested arrays": "[" * 128 + "1" + "]" * 128,
    "an integer of 5001 digits": "1" + "0" * 5000,
}

TOO_LARGE = "expected numbers that a computer can hold, found a larger one"

REFUSED = {
    "1e999": TOO_LARGE,
    "an integer of 5001 digits": TOO_LARGE,
    "128 nested arrays": "nested more than 128 deep: `$.x[0][0][0][0][0]…",
    '{"a": 1, "a": 2}': "a key appears twice in one object: `$.x.a`",
    r'"\ud800"': "a string holds half of a surrogate pair: `$.x`",
}
"""The inputs that the server refuses, and why."""


def rows(table: str) -> list[tuple[str, str]]:
    """Return the first cell of each row of a table, and its cell for a value without a type."""
    text = PAGE.partition(f"<!-- begin: {table} -->\n")[2].partition("<!-- end")[0]
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in text.splitlines()[2:]]
    return [(row[0].strip("`"), row[2].replace("\\|", "|")) for row in cells]


def results(stepflow: Stepflow, component: str, inputs: list[str]) -> list[dict[str, Any]]:
    """Return what happens to each of these inputs, in a run of all of them."""
    stepflow.write(flow_yaml=FLOW % component, inputs_jsonl="\n".join(inputs))
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl", "--quiet")
    lines = {line["itemIndex"]: line for line in map(json.loads, ended.stdout.splitlines())}
    return [lines[index] for index in range(len(inputs))]


def cell(result: dict[str, Any]) -> str:
    """Return a result as the page writes it."""
    if result["outcome"] == "success":
        value = result["result"]
        text = value if isinstance(value, str) else json.dumps(value["x"], ensure_ascii=False)
        return f"`{text}`" if len(text) < 45 and text != "as it is" else "as it is"
    message = result["error"]["message"]
    if found := re.search(r"does not fit at `(.*?)`: (?:it )?(.*)", message):
        return f"`{found[1]}` {found[2]}"
    return re.sub(r"^`/.*?` cannot take ", "", message)


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_page_is_true_with_the_real_server(stepflow: Stepflow, transport: str) -> None:
    pytest.importorskip("pydantic", reason="some values are pydantic's")
    config = CONFIG.replace(
        "OPTIONS", "components.py, --http" if transport == "http" else "components.py"
    )
    stepflow.write(components_py=COMPONENTS, **{"stepflow-config_yml": config})
    leaving = rows("leaving")
    left = results(stepflow, "leaves", [json.dumps(value) for value, _ in leaving])
    assert [(value, cell(one)) for (value, _), one in zip(leaving, left, strict=True)] == leaving
    arriving = [(value, said) for value, said in rows("arriving") if value not in REFUSED]
    inputs = [f'{{"x":{IN_WORDS.get(value, value)}}}' for value, _ in arriving]
    arrived = results(stepflow, "arrives", inputs)
    assert [(value, cell(one)) for (value, _), one in zip(arriving, arrived, strict=True)] == (
        arriving
    )


def test_invalid_values_do_not_reach_a_worker(stepflow: Stepflow) -> None:
    assert REFUSED.keys() <= {value for value, _ in rows("arriving")}
    stepflow.write(components_py=COMPONENTS)
    for value, words in REFUSED.items():
        text = f'{{"x":{IN_WORDS.get(value, value)}}}'
        stepflow.write(flow_yaml=FLOW % "arrives", inputs_jsonl=text)
        ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
        assert ended.code == 1 and words in ended.stderr, ended.stderr
