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
        ("a=x", "a text needs quotes: `--set 'a=\"x\"'`"),
        ("a", "has no `=`"),
        ("$[x]=1", "has a wrong path"),
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
    # The real environment comes first.
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
    """Return the flow inside `MAP`, as a value."""
    step = {"id": "one", "component": "/python/work", "input": {"$input": "$"}}
    return {"steps": [step], "output": {"$step": "one"}}


CHOICES = """\
name: choices
schemas:
  $defs: {Zip: {type: string}}
  properties:
    variables:
      properties:
        zip: {type: [string, "null"]}
        either: {type: [integer, string]}
        listed: {enum: ["1", "2", 3]}
        fixed: {const: "007"}
        any_of: {anyOf: [{type: string, minLength: 2}, {type: boolean}]}
        named: {$ref: "#/schemas/$defs/Zip"}
        free: {}
        a/b~c: {type: [string, "null"]}
steps: []
output:
  zip: {$variable: zip, default: none}
  either: {$variable: either, default: none}
  listed: {$variable: listed, default: none}
  fixed: {$variable: fixed, default: none}
  any_of: {$variable: any_of, default: none}
  named: {$variable: named, default: none}
  free: {$variable: free, default: none}
  a/b~c: {$variable: '$["a/b~c"]', default: none}
"""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("zip", "12345", "12345"),
        ("zip", "null", None),
        ("zip", "-1", "-1"),
        ("zip", "4e12345", "4e12345"),
        ("zip", '{"a":1,"a":2}', '{"a":1,"a":2}'),
        ("either", "4e12345", "4e12345"),
        ("either", "12345", 12345),
        ("either", "1.5", "1.5"),
        ("either", "x", "x"),
        ("listed", "1", "1"),
        ("listed", "3", 3),
        ("fixed", "007", "007"),
        ("any_of", "12", "12"),
        ("any_of", "true", True),
        ("named", "12345", "12345"),
        ("free", "12345", 12345),
        ("free", "x", "x"),
        ("a/b~c", "5", "5"),
    ],
)
def test_the_declaration_of_a_variable_decides_whether_a_text_is_json(
    stepflow: Stepflow, name: str, text: str, value: object
) -> None:
    stepflow.write(flow_yaml=CHOICES, flow_env=f"STEPFLOW_VAR_{name.upper()}={text}\n")
    given = output(stepflow, "--var", f"{name}={text}")
    assert isinstance(given, dict)
    assert given[name] == value and type(given[name]) is type(value)
    assert output(stepflow, "--env-file", "flow.env") == given


def test_a_value_that_fits_in_neither_way_is_named_with_its_type(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=CHOICES)
    ended = stepflow("run", "flow.yaml", "--var", "any_of=1")
    assert (ended.code, ended.stdout) == (1, "")
    assert "/any_of" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (("--input-json", "-1"), -1),
        (("--input-yaml", "- 1\n- x"), [1, "x"]),
        (("--input-yaml", "-.5"), -0.5),
        (("--set", "a=-1"), {"a": -1}),
    ],
)
def test_a_value_may_begin_with_a_hyphen(
    stepflow: Stepflow, arguments: tuple[str, ...], value: object
) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    assert output(stepflow, *arguments) == value


def test_a_negative_number_where_none_can_be_is_refused_as_a_value(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--max-concurrency", "-1")
    assert ended.code == 2
    assert "invalid value '-1'" in ended.stderr


def test_the_mark_of_some_editors_and_their_line_ends_are_no_part_of_a_text(
    stepflow: Stepflow,
) -> None:
    mark = "\ufeff"
    stepflow.write(flow_yaml=mark + BUILTIN.replace("\n", "\r\n"))
    stepflow.write(input_json=mark + '{"a": 1}\r\n', input_yaml=mark + "a: 1\r\n")
    assert output(stepflow, "--input", "input.json") == {"a": 1}
    assert output(stepflow, "--input", "input.yaml") == {"a": 1}
    lines = mark + '{"a": 1}\r\n\r\n2\r\n'
    stepflow.write(inputs_jsonl=lines)
    for stdin, name in (("", "inputs.jsonl"), (lines, "-")):
        ended = stepflow("run", "flow.yaml", "--inputs", name, stdin=stdin)
        results = [json.loads(line)["result"] for line in ended.stdout.splitlines()]
        assert sorted(results, key=str) == [2, {"a": 1}], ended.stderr
    ended = stepflow("run", "flow.yaml", "--output-only", "--input", "-", stdin=mark + "3\r\n")
    assert ended.stdout == "3\n", ended.stderr
    stepflow.write(flow_yaml=VARIABLES, demo_env=mark + "DEMO_KEY=k\r\nSTEPFLOW_VAR_ZIP=9\r\n")
    stepflow.write(vars_json=mark + '{"count": 5}')
    given = ("--env-file", "demo.env", "--variables", "vars.json")
    assert output(stepflow, *given) == {"count": 5, "zip": "9", "key": "k"}


TWICE = '{"a": 1, "\\u0061": 2}'


@pytest.mark.parametrize(
    ("arguments", "code", "place"),
    [
        (("--input-json", TWICE), 2, "--input-json:1:10"),
        (("--input-yaml", TWICE), 2, "--input-yaml:1:10"),
        (("--input", "twice.json"), 1, "twice.json:1:10"),
        (("--input", "twice.yaml"), 1, "twice.yaml:2:1"),
        (("--inputs", "twice.jsonl"), 1, "line 2 of `twice.jsonl`"),
        (("--set", f"x={TWICE}"), 2, "`$.a`"),
        (("--var", f"free={TWICE}"), 2, "`--var free`"),
        (("--var", f"other={TWICE}"), 2, "`--var other`"),
        (("--env-file", "twice.env"), 1, "`STEPFLOW_VAR_FREE`"),
        (("--variables-json", TWICE), 2, "--variables-json:1:10"),
        (("--variables", "twice.yaml"), 1, "twice.yaml:2:1"),
        (("--overrides-json", '{"steps": {}, "steps": {}}'), 1, "--overrides-json:1:15"),
    ],
)
def test_two_keys_of_one_name_are_refused_with_their_place(
    stepflow: Stepflow, arguments: tuple[str, ...], code: int, place: str
) -> None:
    stepflow.write(
        flow_yaml=CHOICES,
        twice_json=TWICE,
        twice_yaml="a: 1\na: 2\n",
        twice_jsonl=f"1\n{TWICE}\n",
        twice_env=f"STEPFLOW_VAR_FREE={TWICE}\n",
    )
    ended = stepflow("run", "flow.yaml", *arguments)
    assert (ended.code, ended.stdout) == (code, "")
    assert "twice" in ended.stderr
    assert place in ended.stderr


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["--var", "count=1", "--var", "count=2"], "`--var count` is given twice"),
        (["--var", "=3"], "a `--var` has no name"),
        (["--env-file", "twice.env"], "line 2 of `twice.env` sets `STEPFLOW_VAR_COUNT` again"),
        (["--env-file", "open.env"], "line 1 of `open.env` has a quote that does not end"),
    ],
)
def test_a_variable_is_given_once_and_whole(
    stepflow: Stepflow, given: list[str], problem: str
) -> None:
    stepflow.write(
        flow_yaml=VARIABLES,
        twice_env="STEPFLOW_VAR_COUNT=1\nSTEPFLOW_VAR_COUNT=2\n",
        open_env='STEPFLOW_VAR_ZIP="1\n',
    )
    ended = stepflow("run", "flow.yaml", *given)
    assert ended.code != 0
    assert problem in ended.stderr


def test_a_comment_behind_a_value_is_no_part_of_it(stepflow: Stepflow) -> None:
    env = "STEPFLOW_VAR_COUNT=3 # as many\nSTEPFLOW_VAR_ZIP='1 # 2' # quoted\nDEMO_KEY=a#b\n"
    stepflow.write(flow_yaml=VARIABLES, all_env=env)
    found = output(stepflow, "--env-file", "all.env")
    assert found == {"count": 3, "zip": "1 # 2", "key": "a#b"}


def test_a_variable_that_the_flow_does_not_declare_is_told(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=VARIABLES)
    ended = stepflow("run", "flow.yaml", "--var", "nn=3")
    assert ended.code == 0
    assert "warning: the flow declares no variable `nn`" in ended.stderr
