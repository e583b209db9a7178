"""Messages that are too long: each fails its step at once, and the worker goes on."""

import json

import pytest

from tests.cli.conftest import Stepflow

WORKER = """\
import os
from pathlib import Path
from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


def attempt(name: str) -> None:
    with Path(name).open("a") as file:
        file.write(f"{os.getpid()}\\n")


@server.component
def output(input: int) -> str:
    attempt("output")
    return "x" * input


@server.component
async def streamed(input: int, context: StepflowContext) -> str:
    attempt("streamed")
    return "x" * input


@server.component
async def put(input: int, context: StepflowContext) -> str:
    attempt("put")
    return await context.put_blob("x" * input)


@server.component
def size(input: str) -> int:
    return len(input)
"""

CONFIG = """\
plugins:
  python: {type: stepflow, command: stepflow-worker, args: [components.py%s], maxMessageSize: 64KiB}
routes: {"/python/{*component}": [{plugin: python}]}
"""

FLOW = """\
steps: [{id: only, component: /python/%s, input: {$input: "$"}}]
output: {$step: only}
"""

SIZES = "bytes, and a message may have 65536 (`maxMessageSize`)"


@pytest.mark.parametrize("how", ["", ", --http"])
@pytest.mark.parametrize("component", ["output", "streamed", "put"])
def test_what_a_component_sends_is_too_long(stepflow: Stepflow, component: str, how: str) -> None:
    stepflow.write(
        **{"components_py": WORKER, "stepflow-config_yml": CONFIG % how},
        flow_yaml=FLOW % component,
        inputs_jsonl="100000\n10\n",
    )
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    long, short = sorted(map(json.loads, ended.stdout.splitlines()), key=lambda at: at["itemIndex"])
    assert (ended.code, long["outcome"], short["outcome"]) == (1, "failed", "success")
    assert SIZES in long["error"]["message"], long
    attempts = (stepflow.folder / component).read_text().split()
    assert (len(attempts), len(set(attempts))) == (2, 1), "one attempt each, in one worker"


@pytest.mark.parametrize("how", ["", ", --http"])
def test_an_input_is_too_long(stepflow: Stepflow, how: str) -> None:
    stepflow.write(
        **{"components_py": WORKER, "stepflow-config_yml": CONFIG % how},
        flow_yaml=FLOW % "size",
        input_json=json.dumps("x" * 100_000),
    )
    ended = stepflow("run", "flow.yaml", "--input", "input.json")
    assert ended.code == 1, ended.stderr
    error = json.loads(ended.stdout)["error"]
    assert error["kind"] == "INVALID_INPUT" and SIZES in error["message"], error
