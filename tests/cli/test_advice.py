"""What `stepflow` says about common mistakes, and that it does not repeat secrets."""

import json

import pytest

from tests.cli.conftest import Stepflow

SECRET = """\
name: f
schemas: {properties: {input: {type: object, properties: {pw: {type: string, is_secret: true}}}}}
steps: []
output: 1
"""


@pytest.mark.parametrize("given", [["--input", '{"pw": "sesame-1"}'], ["--set", "sesame-1"]])
def test_a_secret_in_the_wrong_option_is_not_repeated(stepflow: Stepflow, given: list[str]) -> None:
    stepflow.write(flow_yaml=SECRET)
    ended = stepflow("run", "flow.yaml", *given)
    assert ended.code != 0
    assert "sesame-1" not in ended.stderr + ended.stdout


def test_a_builtin_without_its_route_is_advised(stepflow: Stepflow) -> None:
    step = "{id: a, component: /noop, input: 1}"
    stepflow.write(flow_yaml=f"name: f\nsteps: [{step}]\noutput: {{$step: a}}\n")
    ended = stepflow("run", "flow.yaml", "--input-json", "1")
    assert ended.code == 1
    assert "did you mean `/builtin/noop`?" in ended.stderr


def test_an_input_that_cannot_be_computed_is_reported_with_its_step(stepflow: Stepflow) -> None:
    step = "{id: first, component: /builtin/noop, input: {$input: $.p}}"
    stepflow.write(flow_yaml=f"name: f\nsteps: [{step}]\noutput: {{$step: first}}\n")
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert json.loads(ended.stdout)["error"]["data"]["step"] == "first"


CASES = """\
name: f
schemas: {properties: {input: {type: object, required: [n]}}}
steps: []
output: {$input: $.n}
test: {cases: [{name: one, input: {}, KEY: {outcome: success}}]}
"""


def test_a_case_whose_input_is_rejected_says_why(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=CASES.replace("KEY", "output"))
    ended = stepflow("test", "flow.yaml")
    assert ended.code == 1
    assert "`/n`: expected a value (it is required)" in ended.stdout + ended.stderr


def test_a_misspelt_key_stops_the_cases_of_a_flow(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=CASES.replace("KEY", "ouput"))
    ended = stepflow("test", "flow.yaml")
    assert ended.code == 1
    assert "error[2007]" in ended.stdout + ended.stderr
