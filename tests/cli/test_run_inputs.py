"""The ways to give `stepflow run` its input, variables and overrides."""

import json

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN, MAP, ONE_STEP, component

VARIABLES = """\
name: variables
schemas:
  properties:
    variables:
      type: object
      properties:
        count: {type: integer, default: 1}
        zip: {type: string, default: "0"}
        key: {type: string, env_var: DEMO_KEY, default: none}
      additionalProperties: true
output: {count: {$variable: $.count}, zip: {$variable: $.zip}, key: {$variable: $.key}}
steps: []
"""

REQUIRED = """\
name: required
schemas:
  properties:
    variables: {type: object, properties: {count: {type: integer}}, required: [count]}
steps: []
output: {$variable: $.count}
"""


def output(stepflow: Stepflow, *arguments: str, env: dict[str, str] | None = None) -> object:
    ended = stepflow("run", "flow.yaml", "--output-only", *arguments, env=env)
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


def test_single_places_of_the_input_can_be_set(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    assert output(stepflow, "--set", "a.b=1", "--set", 'a.c[0]="x"') == {"a": {"b": 1, "c": ["x"]}}
    given = ("--input-json", '{"a": {"b": 1}, "n": 2}')
    assert output(stepflow, *given, "--set", "a.b=null") == {"a": {"b": None}, "n": 2}


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("a=x", "a text is quoted: `--set 'a=\"x\"'`"),
        ("a", "has no `=`"),
        ("$[x]=1", "names no place"),
        ("a[1]=1", "would leave a gap"),
    ],
)
def test_a_place_that_cannot_be_set_is_a_wrong_command_line(
    stepflow: Stepflow, assignment: str, said: str
) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--set", assignment)
    assert (ended.code, ended.stdout) == (2, "")
    assert said in ended.stderr


def test_stdin_is_one_thing_only(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=VARIABLES)
    ended = stepflow("run", "flow.yaml", "--input", "-", "--variables", "-", stdin="{}")
    assert ended.code == 2
    assert "stdin has been read already" in ended.stderr


def test_variables_come_from_a_document_and_one_by_one(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=VARIABLES, vars_yaml="count: 7\nzip: x\n")
    assert output(stepflow) == {"count": 1, "zip": "0", "key": "none"}
    of_file = output(stepflow, "--variables", "vars.yaml", "--var", "zip=y")
    assert of_file == {"count": 7, "zip": "y", "key": "none"}
    of_json = output(stepflow, "--variables-json", '{"count": 9007199254740993}')
    assert of_json == {"count": 9007199254740993, "zip": "0", "key": "none"}
    assert output(stepflow, "--variables-yaml", "count: 3") == {
        "count": 3,
        "zip": "0",
        "key": "none",
    }


def test_a_variable_that_is_declared_as_a_string_stays_one(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=VARIABLES)
    assert output(stepflow, "--var", "zip=123", "--var", "count=123") == {
        "count": 123,
        "zip": "123",
        "key": "none",
    }


def test_variables_come_from_the_environment_when_it_is_asked(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml=VARIABLES, demo_env="# mine\nexport DEMO_KEY='file'\nSTEPFLOW_VAR_ZIP=9\n"
    )
    env = {"DEMO_KEY": "secret", "STEPFLOW_VAR_COUNT": "5", "STEPFLOW_VAR_KEY": "unused"}
    assert output(stepflow, env=env) == {"count": 1, "zip": "0", "key": "none"}
    assert output(stepflow, "--env-variables", env=env) == {
        "count": 5,
        "zip": "0",
        "key": "secret",
    }
    assert output(stepflow, "--env-variables", "--var", "count=6", env=env) == {
        "count": 6,
        "zip": "0",
        "key": "secret",
    }
    assert output(stepflow, "--env-file", "demo.env") == {"count": 1, "zip": "9", "key": "file"}
    # What is really in the environment comes first.
    assert output(stepflow, "--env-file", "demo.env", env={"DEMO_KEY": "real"}) == {
        "count": 1,
        "zip": "9",
        "key": "real",
    }


def test_a_variable_that_does_not_fit_is_named(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=VARIABLES)
    ended = stepflow("run", "flow.yaml", "--var", "count=many")
    assert (ended.code, ended.stdout) == (1, "")
    assert "count" in ended.stderr
    assert "hint: " in ended.stderr


def test_a_variable_that_is_required_must_be_given(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=REQUIRED)
    ended = stepflow("run", "flow.yaml")
    assert (ended.code, ended.stdout) == (1, "")
    assert "count" in ended.stderr
    assert "--var name=value" in ended.stderr
    assert output(stepflow, "--var", "count=2") == 2


def test_a_misspelt_variable_is_refused(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=VARIABLES)
    ended = stepflow("run", "flow.yaml", "--var", "coutn=2")
    assert (ended.code, ended.stdout) == (1, "")
    assert "hint: did you mean `count`?" in ended.stderr


def test_variables_that_are_no_object_are_refused(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=VARIABLES, vars_json="[1]")
    assert stepflow("run", "flow.yaml", "--variables-json", "[1]").code == 2
    assert stepflow("run", "flow.yaml", "--variables-json", "{").code == 2
    assert stepflow("run", "flow.yaml", "--variables", "vars.json").code == 1
    assert stepflow("run", "flow.yaml", "--variables", "nowhere.json").code == 2


@pytest.mark.parametrize("option", ["--overrides", "--overrides-json", "--overrides-yaml"])
def test_overrides_change_a_step_for_this_run(stepflow: Stepflow, option: str) -> None:
    patch = '{"steps": {"copy": {"$type": "merge_patch", "value": {"input": {"n": 2}}}}}'
    stepflow.write(flow_yaml=BUILTIN, patch_json=patch)
    given = "patch.json" if option == "--overrides" else patch
    assert output(stepflow, "--input-json", "1", option, given) == {"n": 2}


def test_overrides_of_a_step_that_does_not_exist_are_refused(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    patch = '{"steps": {"coyp": {"value": {"input": 1}}}}'
    ended = stepflow("run", "flow.yaml", "--overrides-json", patch)
    assert (ended.code, ended.stdout) == (1, "")
    assert "coyp" in ended.stderr and "copy" in ended.stderr


def test_overrides_that_are_no_document_are_a_wrong_command_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    assert stepflow("run", "flow.yaml", "--overrides-json", "{").code == 2


def test_an_overridden_component_is_looked_for_before_the_first_step(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("return {}"))
    patch = '{"steps": {"work": {"value": {"component": "/python/wrk"}}}}'
    ended = stepflow("run", "flow.yaml", "--input-json", "{}", "--overrides-json", patch)
    assert (ended.code, ended.stdout) == (1, "")
    assert "did you mean `/python/work`?" in ended.stderr


def test_failures_of_a_batch_are_grouped_by_message(stepflow: Stepflow) -> None:
    body = "raise ValueError('odd' if input['n'] % 2 else 'even')"
    lines = "".join(f'{{"n": {n}}}\n' for n in range(5))
    stepflow.write(flow_yaml=ONE_STEP, components_py=component(body), inputs_jsonl=lines)
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert ended.code == 1
    assert "5 of 5 items failed" in ended.stderr
    assert "items 0, 2, 4: " in ended.stderr
    assert "items 1, 3: " in ended.stderr
    assert {json.loads(line)["itemIndex"] for line in ended.stdout.splitlines()} == set(range(5))


@pytest.mark.parametrize("written", ["inside its step", "in the input"])
def test_the_worker_of_a_flow_inside_a_flow_is_started(stepflow: Stepflow, written: str) -> None:
    body = component("return {'twice': 2 * input['n']}")
    if written == "inside its step":
        stepflow.write(flow_yaml=MAP, components_py=body)
        given = '[{"n": 1}, {"n": 2}]'
    else:
        inner = inner_flow()
        outer = MAP[: MAP.index("      workflow:")].replace("{$input: $}", "{$input: $.items}")
        outer += "      workflow: {$input: $.flow}\noutput: {$step: each, path: $.results}\n"
        stepflow.write(flow_yaml=outer, components_py=body)
        given = json.dumps({"items": [{"n": 1}, {"n": 2}], "flow": inner})
    assert output(stepflow, "--input-json", given) == [
        {"outcome": "success", "result": {"twice": 2}},
        {"outcome": "success", "result": {"twice": 4}},
    ]


def inner_flow() -> dict[str, object]:
    """The flow inside `MAP`, as a value."""
    step = {"id": "one", "component": "/python/work", "input": {"$input": "$"}}
    return {"steps": [step], "output": {"$step": "one"}}
