"""`docs/protocol.md` agrees with the schemas, and the checker has a check for each rule."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stepflow.protocol import ErrorCode
from stepflow.testing.conformance import rules

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
SHAPES: dict[str, Any] = json.loads((ROOT / "schemas/protocol.json").read_text(encoding="utf-8"))[
    "$defs"
]


def documented() -> list[str]:
    return re.findall(r"`\[(\w+\.\w+)\]`", TEXT)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    chapter = re.split(r"^#+ ", TEXT.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)
    lines = [line for line in chapter[0].splitlines() if line.startswith("|")]
    # No cell here contains a bar.
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def written(name: str) -> str:
    """Return the members of a type as the document writes them; optional ones have a `?`."""
    shape = SHAPES[name]
    required = shape.get("required", [])
    members = shape.get("properties", {})
    return f"`{{{', '.join(each + '?' * (each not in required) for each in members)}}}`"


def shapes_of(method: str) -> str:
    """`components/infer_schema` → `ComponentsInferSchema`."""
    return "".join(word.capitalize() for word in re.split("[/_]", method))


METHODS = {row[0].strip("`"): row for row in rows("Methods")}


def test_no_method_is_left_out() -> None:
    # The methods of older workers are in another table.
    legacy = {row[0].strip("`") for row in rows("Older peers")}
    methods = {each["const"] for each in SHAPES["Method"]["oneOf"]}
    assert set(METHODS) | legacy == methods


@pytest.mark.parametrize("method", METHODS)
def test_params_and_results_are_those_of_the_schema(method: str) -> None:
    _, _, params, result = METHODS[method]
    assert params == written(f"{shapes_of(method)}Params")
    if result == "`RunStatusProtocol`":
        assert f"{shapes_of(method)}Result" not in SHAPES
    else:
        name = f"{shapes_of(method)}Result"
        assert result == (written(name) if name in SHAPES else "")


@pytest.mark.parametrize(("shape", "members"), rows("Shapes"))
def test_shapes_are_those_of_the_schema(shape: str, members: str) -> None:
    assert members == written(shape.strip("`"))


def test_errors_are_those_of_the_package() -> None:
    told = {int(row[0].replace("\N{MINUS SIGN}", "-")): row[1] for row in rows("Errors")}
    assert told == {code.value: code.name for code in ErrorCode}


def test_an_id_names_one_rule() -> None:
    ids = documented()
    assert len(ids) == len(set(ids))


def test_the_checker_tries_every_rule_that_binds_a_worker() -> None:
    workers = {rule for rule in documented() if not rule.startswith("server.")}
    assert workers == set(rules())
