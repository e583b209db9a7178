"""Inputs that a new user gets wrong."""

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN

STRICT = """\
name: strict
schemas:
  type: object
  properties:
    input: {type: object, properties: {n: {type: integer}}, required: [n]}
steps: []
output: {$input: $.n}
"""


def test_a_file_that_is_not_json_is_wrong_input(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN, input_json='{"a": 1,\n "b" 2}')
    ended = stepflow("run", "flow.yaml", "--input", "input.json")
    assert (ended.code, ended.stdout) == (1, "")
    assert "input.json:2:" in ended.stderr


def test_an_option_that_is_not_json_is_a_wrong_command_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--input-json", "{n: 1}")
    assert (ended.code, ended.stdout) == (2, "")
    assert "--input-json" in ended.stderr


def test_an_input_of_the_wrong_shape_is_named_by_its_place(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=STRICT)
    ended = stepflow("run", "flow.yaml", "--input-json", '{"n": "seven"}')
    assert (ended.code, ended.stdout) == (1, "")
    assert "`/n`: expected integer, found string" in ended.stderr
    assert "hint: " in ended.stderr


def test_a_flow_that_needs_an_input_says_so_when_there_is_none(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=STRICT)
    ended = stepflow("run", "flow.yaml")
    assert ended.code == 1
    assert "the flow needs an input, and none was given" in ended.stderr
    assert "hint: give it with `--input FILE`" in ended.stderr


def test_a_wrong_item_of_a_batch_is_named(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=STRICT, inputs_jsonl='{"n": 1}\n{"n": null}\n')
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert (ended.code, ended.stdout) == (1, "")
    assert "the input in `inputs.jsonl` does not fit the flow: item 1: `/n`" in ended.stderr
    ended = stepflow("run", "flow.yaml", "--inputs", "-", stdin='{"n": null}')
    assert "the input in `stdin` does not fit the flow: item 0: `/n`" in ended.stderr


def test_a_wrong_line_of_a_batch_is_named(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN, inputs_jsonl="1\n2\nthree\n")
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert ended.code == 1
    assert "line 3 of `inputs.jsonl`" in ended.stderr
    assert "at column 2" in ended.stderr
    assert "line 1" not in ended.stderr


def test_a_missing_input_file_is_a_wrong_command_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--input", "input.json")
    assert ended.code == 2
    assert "cannot read the input `input.json`" in ended.stderr


@pytest.mark.parametrize("arguments", [["run"], ["run", "f.yaml", "--inptu", "x"], ["rnu"]])
def test_an_unknown_word_is_a_wrong_command_line(stepflow: Stepflow, arguments: list[str]) -> None:
    ended = stepflow(*arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")


def test_a_flow_that_needs_a_variable_says_which(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml="schemas:\n  type: object\n  properties:\n"
        "    variables: {type: object, properties: {key: {type: string}}, required: [key]}\n"
        "output: {$variable: key}\n"
    )
    ended = stepflow("run", "flow.yaml")
    assert (ended.code, ended.stdout) == (1, "")
    assert "`/key`" in ended.stderr and "hint: " in ended.stderr


def test_of_many_variables_that_do_not_fit_some_are_named_and_the_others_counted(
    stepflow: Stepflow,
) -> None:
    names = [f"v{number}" for number in range(125)]
    variables = ", ".join(f"{name}: {{type: integer}}" for name in names)
    stepflow.write(
        flow_yaml=f"schemas:\n  properties:\n    variables: {{properties: {{{variables}}}}}\n"
        "steps: []\noutput: 1\n"
    )
    given = [f"--var={name}=word" for name in names]
    ended = stepflow("run", "flow.yaml", *given)
    assert (ended.code, ended.stdout) == (1, ""), ended.stderr
    assert ended.stderr.count("expected integer") == 100
    assert "; and 25 more" in ended.stderr
