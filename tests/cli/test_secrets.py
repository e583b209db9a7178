"""Values that a flow marks as secret are not shown by `stepflow run`, and not logged."""

import json

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import component

FLOW = """\
name: login
schemas:
  properties:
    input: {properties: {pin: {type: string, is_secret: true}, user: {type: string}}}
    variables: {properties: {token: {type: string, is_secret: true}, lang: {type: string}}}
steps:
  - id: work
    component: /python/work
    input: {pin: {$input: $.pin}, token: {$variable: token}}
output: {$step: work}
"""

GIVEN = ("--input-json", '{"pin": "hunter2"}', "--var", "token=sesame")


def test_no_display_and_no_log_shows_a_secret_that_a_component_raises(stepflow: Stepflow) -> None:
    body = 'raise ValueError(f\'{input["token"]} and {input["pin"]} are wrong\')'
    stepflow.write(flow_yaml=FLOW, components_py=component(body))
    ended = stepflow("run", "flow.yaml", "--log-level", "debug", *GIVEN)
    assert ended.code == 1
    assert "sesame" not in ended.stderr + ended.stdout
    assert "hunter2" not in ended.stderr + ended.stdout
    error = json.loads(ended.stdout)["error"]
    assert error["message"] == "[REDACTED] and [REDACTED] are wrong"
    assert "[REDACTED] and [REDACTED] are wrong" in error["data"]["traceback"]


def test_the_result_is_what_the_component_returned(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW, components_py=component("return input"))
    ended = stepflow("run", "flow.yaml", "--output-only", *GIVEN)
    assert json.loads(ended.stdout) == {"pin": "hunter2", "token": "sesame"}
    assert "sesame" not in ended.stderr


@pytest.mark.parametrize("broken", ["pin: hunter2: x", "pin: *hunter2", 'pin: "hunter2', "{pin"])
def test_a_broken_document_is_reported_without_its_text(stepflow: Stepflow, broken: str) -> None:
    stepflow.write(flow_yaml=FLOW, given_yaml=f"user: ana\n{broken}\n")
    for option in ("--input", "--variables"):
        ended = stepflow("run", "flow.yaml", option, "given.yaml")
        assert (ended.code, ended.stdout) == (1, "")
        assert "given.yaml:2:" in ended.stderr
        assert "hunter2" not in ended.stderr
        assert "marks a part of this document as secret" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--input-json", '{"pin": hunter2}'),
        ("--input-yaml", "pin: hunter2: x"),
        ("--input-json", '{"pin": ["hunter2"]}'),
        ("--set", "pin=hunter2"),
        ("--set", "pin.inside[3]=hunter2"),
        ("--variables-json", '{"token": hunter2}'),
        ("--variables-json", '{"token": ["hunter2"]}'),
        ("--var", "hunter2"),
    ],
)
def test_a_wrong_command_line_does_not_repeat_a_secret(
    stepflow: Stepflow, arguments: tuple[str, str]
) -> None:
    stepflow.write(flow_yaml=FLOW)
    ended = stepflow("run", "flow.yaml", *arguments)
    assert ended.code in (1, 2)
    assert "error" in ended.stderr
    assert "hunter2" not in ended.stderr


def test_values_that_are_not_secret_are_shown_with_their_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW.replace("is_secret: true", "is_secret: false"))
    ended = stepflow("run", "flow.yaml", "--input-yaml", "pin: hunter2: x")
    assert "pin: hunter2: x" in ended.stderr
    assert "--set 'pin=\"a\"'" in stepflow("run", "flow.yaml", "--set", "pin=a").stderr
