"""`stepflow run`: the result alone on stdout, everything else on stderr, and an exit code that scripts can trust."""

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN, ONE_STEP, component

COMMANDS = ("run", "validate", "test", "components", "visualize", "serve", "schema")


def test_the_result_is_one_compact_line_on_stdout(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--input-json", '{"b": [1, 2], "a": null}')
    assert ended.code == 0, ended.stderr
    assert ended.stdout == '{"outcome":"success","result":{"b": [1, 2], "a": null}}\n'.replace(
        " ", ""
    )


def test_integers_and_key_order_are_kept(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN, input_json='{"z":9223372036854775807,"a":1.0,"m":-0.5e10}')
    ended = stepflow("run", "flow.yaml", "--input", "input.json", "--output-only")
    assert ended.stdout == '{"z":9223372036854775807,"a":1.0,"m":-0.5e10}\n'


def test_the_flow_may_be_named_by_an_option(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    assert stepflow("run", "--flow", "flow.yaml", "--input-json", "1").code == 0


def test_an_input_can_be_yaml_or_come_from_stdin(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN, input_yaml="a: [yes, 1]\n")
    expected = '{"a":["yes",1]}\n'
    only = ("run", "flow.yaml", "--output-only")
    assert stepflow(*only, "--input", "input.yaml").stdout == expected
    assert stepflow(*only, "--input", "-", stdin='{"a": ["yes", 1]}').stdout == expected
    assert stepflow(*only, "--input-yaml", "a: [yes, 1]").stdout == expected


def test_components_beside_the_flow_need_no_configuration(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("return {'twice': input['n'] * 2}"))
    ended = stepflow("run", "flow.yaml", "--input-json", '{"n": 21}')
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout) == {"outcome": "success", "result": {"twice": 42}}


def test_a_worker_can_be_named(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, other_py=component("return {'from': 'other'}"))
    ended = stepflow(
        "run", "flow.yaml", "--worker", "other.py", "--input-json", "{}", "--output-only"
    )
    assert ended.stdout == '{"from":"other"}\n', ended.stderr


def test_a_flow_that_fails_ends_with_1_and_its_result_on_stdout(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("raise ValueError('no good')"))
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 1
    result = json.loads(ended.stdout)
    assert result["outcome"] == "failed"
    assert result["error"]["kind"] == "COMPONENT_FAILED"


def test_a_bare_output_is_nothing_when_the_flow_failed(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("raise ValueError('no good')"))
    ended = stepflow("run", "flow.yaml", "--input-json", "{}", "--output-only")
    assert (ended.code, ended.stdout) == (1, "")
    assert "no good" in ended.stderr


def test_the_result_can_go_to_a_file(stepflow: Stepflow, tmp_path: Path) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--input-json", "7", "--output", "result.json")
    assert (ended.code, ended.stdout) == (0, "")
    assert json.loads((tmp_path / "result.json").read_text()) == {"outcome": "success", "result": 7}


def test_an_output_file_that_cannot_be_written_is_a_wrong_command_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--output", "nowhere/result.json")
    assert ended.code == 2
    assert "nowhere/result.json" in ended.stderr


def test_each_line_of_inputs_is_an_item_with_its_index(stepflow: Stepflow) -> None:
    body = "if input['n'] == 2: raise ValueError('not two')\nreturn {'n': input['n']}"
    stepflow.write(
        flow_yaml=ONE_STEP,
        components_py=component(body),
        inputs_jsonl='{"n": 0}\n{"n": 1}\n\n{"n": 2}\n',
    )
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert ended.code == 1
    lines = {line["itemIndex"]: line for line in map(json.loads, ended.stdout.splitlines())}
    assert lines[0] == {"itemIndex": 0, "outcome": "success", "result": {"n": 0}}
    assert lines[1] == {"itemIndex": 1, "outcome": "success", "result": {"n": 1}}
    assert lines[2]["outcome"] == "failed"
    assert "1 of 3 items failed" in ended.stderr


def test_without_a_terminal_each_finished_step_is_a_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--input-json", "1")
    assert [line.split()[:2] for line in ended.stderr.splitlines()] == [["done", "copy"]]
    assert "\x1b" not in ended.stderr


def test_quiet_prints_nothing(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    assert stepflow("run", "flow.yaml", "--input-json", "1", "--quiet").stderr == ""


def test_the_help_says_that_a_run_is_kept_in_memory_only(stepflow: Stepflow) -> None:
    assert "in memory" in stepflow("run", "--help").stdout


def test_only_commands_that_exist_are_listed(stepflow: Stepflow) -> None:
    listed = stepflow("--help").stdout
    assert all(f"\n  {name} " in listed for name in COMMANDS)
    assert not any(f"\n  {name} " in listed for name in ("init", "submit", "runs", "doctor"))


def test_a_flow_that_times_out_reports_what_it_was_retrying(stepflow: Stepflow) -> None:
    on_error = "    onError: {action: retry, backoff: {type: constant, delay: 1ms}}\n"
    flow = ONE_STEP.replace("    input:", f"{on_error}    input:") + "timeout: 1s\n"
    body = "if not fails:\n    fails.append(1)\n    raise ValueError('no fuel')\nimport time\ntime.sleep(60)\nreturn {}"
    stepflow.write(
        flow_yaml=flow, components_py=component(body).replace("\n\n@", "\n\nfails = []\n\n@", 1)
    )
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 1
    error = json.loads(ended.stdout)["error"]
    assert (error["kind"], error["data"]["cause"]["message"]) == ("TIMEOUT", "no fuel")
    assert "cause     no fuel" in ended.stderr


def test_a_field_that_no_component_gets_is_reported(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml=(
            "name: f\ndescription: d\nsteps:\n- id: each\n  component: /builtin/map\n"
            "  input:\n    items: [1]\n    onItemError: fail\n"
            "    workflow: {$literal: {output: {$input: $}}}\noutput: {$step: each}\n"
        )
    )
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 0
    assert "warning[1006]: `/builtin/map` takes no field `onItemError`" in ended.stderr
    assert "`on_item_error`" in ended.stderr
    assert "1006" not in stepflow("run", "flow.yaml", "--input-json", "{}", "--no-check").stderr


def test_an_output_that_is_open_already_is_written_into(stepflow: Stepflow, tmp_path: Path) -> None:
    stepflow.write(flow_yaml="name: f\nsteps: []\noutput: 1\n")
    run = (*stepflow.command, "run", "flow.yaml", "-q", "--input-json", "1", "-o", "/dev/stdout")
    log = tmp_path / "log"
    with log.open("w") as out:
        for words in (["echo", "before"], run, ["echo", "after"]):
            subprocess.run(words, cwd=stepflow.folder, stdout=out, check=True)
    assert log.read_text() == 'before\n{"outcome":"success","result":1}\nafter\n'


def test_items_that_fail_inside_a_successful_step_are_reported(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml=(
            "name: f\nsteps:\n- id: each\n  component: /builtin/map\n  input:\n    items: [1, 2, 3]\n"
            "    workflow: {$literal: {steps: [{id: a, component: /builtin/get_blob, "
            "input: {blob_id: none}}], output: {$step: a}}}\noutput: {$step: each}\n"
        )
    )
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 0
    assert json.loads(ended.stdout)["result"]["failed"] == 3
    assert "3 items of its sub-run failed" in ended.stderr
