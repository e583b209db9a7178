"""Flows that a new user gets wrong: one message that says what, where and what to do."""

import re

import pytest

from tests.cli.conftest import Stepflow


def flow(steps: str, output: str = "{$step: a}") -> str:
    return f"name: f\ndescription: d\nsteps:\n{steps}output: {output}\n"


STEP = "  - {id: a, component: /builtin/noop, input: 1}\n"


def test_a_missing_file_is_a_wrong_command_line(stepflow: Stepflow) -> None:
    ended = stepflow("run", "flow.yaml")
    assert (ended.code, ended.stdout) == (2, "")
    assert "error: cannot read the flow `flow.yaml`: there is no such file" in ended.stderr
    assert "hint: " in ended.stderr


def test_a_missing_file_with_a_near_name_is_offered(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=flow(STEP))
    ended = stepflow("run", "flow.yml")
    assert ended.code == 2
    assert "hint: did you mean `flow.yaml`?" in ended.stderr


def test_a_folder_is_no_flow(stepflow: Stepflow) -> None:
    ended = stepflow("run", ".")
    assert ended.code == 2
    assert "folder" in ended.stderr


@pytest.mark.parametrize("command", ["run", "validate"])
def test_yaml_broken_on_line_7_is_shown_there(stepflow: Stepflow, command: str) -> None:
    stepflow.write(
        flow_yaml="name: f\ndescription: d\nsteps:\n  - id: a\n    component: /builtin/noop\n    input:\n      x: [1, 2\noutput: {$step: a}\n"
    )
    ended = stepflow(command, "flow.yaml")
    assert ended.code == 1
    assert re.search(r"--> flow\.yaml:[78]:\d+", ended.stderr), ended.stderr


WRONG = {
    "an unknown key": (flow("  - {id: a, compnent: /builtin/noop}\n"), "4", "component"),
    "a step to nowhere": (flow(STEP, "{$step: b}"), "5", "`b`"),
    "a cycle": (
        flow(
            "  - {id: a, component: /builtin/noop, input: {$step: b}}\n"
            "  - {id: b, component: /builtin/noop, input: {$step: a}}\n"
        ),
        "[45]",
        "`a`",
    ),
    "a component without its slash": (
        flow("  - {id: a, component: builtin/noop}\n"),
        "4",
        "/builtin/noop",
    ),
}


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_named_with_its_place(stepflow: Stepflow, command: str, mistake: str) -> None:
    text, line, named = WRONG[mistake]
    stepflow.write(flow_yaml=text)
    ended = stepflow(command, "flow.yaml")
    assert (ended.code, ended.stdout) == (1, "")
    assert re.search(rf"--> flow\.yaml:{line}:\d+", ended.stderr), ended.stderr
    assert named in ended.stderr


def test_validate_names_all_mistakes_at_once(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml="name: f\ndescription: d\nsteps:\n"
        "  - {id: a, component: builtin/noop}\n"
        "  - {id: b, component: /builtin/noop, inptu: 1}\n"
        "output: [{$step: a}, {$step: b}, {$step: nowhere}]\n"
    )
    ended = stepflow("validate", "flow.yaml")
    assert ended.code == 1
    places = re.findall(r"--> flow\.yaml:(\d+):(\d+)", ended.stderr)
    assert [line for line, _ in places] == ["4", "5", "6"], ended.stderr


def test_validate_prints_diagnostics_as_data(stepflow: Stepflow) -> None:
    import json

    stepflow.write(good_yaml=flow(STEP), bad_yaml=flow(STEP, "{$step: b}"))
    ended = stepflow("validate", "good.yaml", "bad.yaml", "--format", "json")
    assert ended.code == 1
    good, bad = json.loads(ended.stdout)
    assert (good["file"], good["diagnostics"]) == ("good.yaml", [])
    assert (bad["file"], bad["numFatal"]) == ("bad.yaml", 1)
    assert (3003, 5) in [(it["code"], it["line"]) for it in bad["diagnostics"]]


def test_validate_accepts_a_good_flow(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=flow(STEP))
    ended = stepflow("validate", "flow.yaml")
    assert (ended.code, ended.stdout) == (0, "")
    assert "flow.yaml: valid" in ended.stderr


def test_a_misspelt_key_can_be_ignored(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=flow("  - {id: a, component: /builtin/noop, inptu: 1}\n"))
    assert stepflow("run", "flow.yaml").code == 1
    ended = stepflow("run", "flow.yaml", "--no-check")
    assert (ended.code, ended.stdout) == (0, '{"outcome":"success","result":null}\n')


def test_an_unknown_component_is_reported_before_the_first_step(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml=flow(
            "  - {id: a, component: /builtin/noop, input: 1}\n"
            "  - {id: b, component: /builtin/nop, input: {$step: a}}\n",
            "{$step: b}",
        )
    )
    ended = stepflow("run", "flow.yaml")
    assert (ended.code, ended.stdout) == (1, "")
    assert "error[2501]" in ended.stderr
    assert "--> flow.yaml:5:" in ended.stderr
    assert "`/builtin/noop`" in ended.stderr
    assert "done" not in ended.stderr
