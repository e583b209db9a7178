"""Values are not changed on their way through steps, a Python worker and the result."""

import json

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.serving import serving

pytestmark = pytest.mark.server

VALUE = '{"b":9007199254740993,"a":1}'

COMPONENTS = """\
import msgspec

from stepflow.worker import StepflowServer

server = StepflowServer()


class Pair(msgspec.Struct):
    b: int
    a: int


@server.component
def plain(input: dict) -> dict:
    assert input["b"] == 9007199254740993 and list(input) == ["b", "a"], input
    return input


@server.component
def typed(input: Pair) -> Pair:
    return input
"""

FLOW = """\
name: exact
steps:
  - id: first
    component: /python/plain
    input: { $input: $ }
  - id: second
    component: /builtin/noop
    input: { b: { $step: first, path: $.b }, a: { $step: first, path: $.a } }
  - id: third
    component: /python/typed
    input: { $step: second }
output: { $step: third }
"""


def test_a_large_integer_and_the_order_of_keys_pass_three_steps_and_a_worker(
    stepflow: Stepflow,
) -> None:
    stepflow.write(flow_yaml=FLOW, components_py=COMPONENTS, input_json=VALUE)
    ran = stepflow("run", "flow.yaml", "--input", "input.json")
    assert ran.stdout == f'{{"outcome":"success","result":{VALUE}}}\n', ran.stderr


def test_the_same_values_pass_over_http(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW, components_py=COMPONENTS)
    with serving(stepflow, "--worker", "components.py") as server:
        body = f'{{"flow":{json.dumps(FLOW)},"input":[{VALUE}],"wait":true}}'
        run = server("POST", "/runs", raw=body.encode()).body
    # Python keeps all digits of integers, and the order of keys.
    assert json.dumps(run["result"]["result"], separators=(",", ":")) == VALUE
