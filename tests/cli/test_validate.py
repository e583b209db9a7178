"""`stepflow validate`: the checks of a flow and its components that need no run."""

import json

from tests.cli.conftest import Stepflow
from tests.cli.flows import MAP, ONE_STEP, SERVER, component

TYPED = (
    SERVER.replace("\n\n\n@server.component\n", "\n\n\n")
    + """\
import msgspec


class Column(msgspec.Struct):
    name: str
    width: int = 8


class Input(msgspec.Struct):
    rows: list[int]
    limit: int = 10
    columns: list[Column] = []


@server.component
def work(input: Input) -> dict:
    return {}
"""
)


def flow(input_: str) -> str:
    return ONE_STEP.replace("{$input: $}", input_)


def test_an_unknown_component_is_reported_with_the_nearest_name(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("return {}", name="works"))
    ended = stepflow("validate", "flow.yaml")
    assert (ended.code, ended.stdout) == (1, "")
    assert "error[2501]" in ended.stderr
    assert "did you mean `/python/works`?" in ended.stderr
    assert "flow.yaml:5:16" in ended.stderr


def test_a_field_that_the_component_does_not_take_is_a_warning(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=flow("{rows: {$input: $.rows}, limits: 3}"), components_py=TYPED)
    ended = stepflow("validate", "flow.yaml")
    assert ended.code == 0, ended.stderr
    assert "warning[1006]: `/python/work` takes no field `limits`" in ended.stderr
    assert "help: did you mean `limit`?" in ended.stderr
    assert "flow.yaml:6:37" in ended.stderr


def test_fields_are_checked_at_every_depth(stepflow: Stepflow) -> None:
    columns = "{rows: [1], columns: [{name: a, width: 3}, {name: {$input: $.n}, colour: red}]}"
    stepflow.write(flow_yaml=flow(columns), components_py=TYPED)
    ended = stepflow("validate", "flow.yaml", "--format", "json")
    assert ended.code == 0, ended.stderr
    (result,) = json.loads(ended.stdout)
    (found,) = [one for one in result["diagnostics"] if one["code"] == 1006]
    assert found["path"] == "$.steps[0].input.columns[1].colour"
    assert (found["line"], found["level"]) == (6, "warning")


def test_a_component_that_takes_anything_takes_any_field(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=flow("{anything: 1}"), components_py=component("return {}"))
    ended = stepflow("validate", "flow.yaml")
    assert ended.code == 0, ended.stderr
    assert "1006" not in ended.stderr


def test_fields_of_builtins_are_known_too(stepflow: Stepflow) -> None:
    step = "{id: a, component: /builtin/load_file, input: {path: x.csv, fromat: csv}}"
    stepflow.write(flow_yaml=f"steps:\n- {step}\noutput: {{$step: a}}\n")
    ended = stepflow("validate", "flow.yaml")
    assert ended.code == 1, ended.stderr
    assert "help: did you mean `format`?" in ended.stderr


def test_a_worker_that_does_not_start_is_no_error_of_the_flow(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py="import no_such_module\n")
    ended = stepflow("validate", "flow.yaml", "--format", "json")
    assert ended.code == 3
    assert "no_such_module" in ended.stderr
    assert "hint: `--no-components`" in ended.stderr
    (result,) = json.loads(ended.stdout)
    assert result["file"] == "flow.yaml"


def test_without_components_no_worker_is_started(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py="import no_such_module\n")
    ended = stepflow("validate", "flow.yaml", "--no-components")
    assert ended.code == 0, ended.stderr


def test_flows_in_one_folder_share_their_workers(stepflow: Stepflow) -> None:
    body = component("return {}") + "\nprint('started', file=open('starts', 'a'))\n"
    stepflow.write(flow_yaml=ONE_STEP, other_yaml=ONE_STEP, components_py=body)
    ended = stepflow("validate", "flow.yaml", "other.yaml")
    assert ended.code == 0, ended.stderr
    assert (stepflow.folder / "starts").read_text().splitlines() == ["started"]


def test_a_flow_that_cannot_be_read_starts_no_worker(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml=ONE_STEP.replace("$step: work", "$step: wrok"),
        components_py="open('started', 'w').close()\n",
    )
    ended = stepflow("validate", "flow.yaml")
    assert ended.code == 1
    assert "error[3003]" in ended.stderr
    assert not (stepflow.folder / "started").exists()


def test_the_steps_of_a_flow_inside_a_step_are_looked_at_too(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=MAP, components_py=component("return {}", name="works"))
    ended = stepflow("validate", "flow.yaml", "--format", "json")
    assert ended.code == 1
    (found,) = [one for one in json.loads(ended.stdout)[0]["diagnostics"] if one["code"] == 2501]
    assert found["path"] == '$.steps[0].input.workflow["$literal"].steps[0].component'
    assert "`/python/works`" in found["formatted"]
