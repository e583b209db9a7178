"""`stepflow run --state`: what becomes of a run that is interrupted, killed or not read, and what the next command does."""

import json
import signal
import subprocess
from collections import Counter

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN
from tests.cli.test_durable import COMPONENTS, FLOW, seen, until_seen

COMMAND = ["run", "flow.yaml", "--state", "state", "--input-json"]

INPUT = '{"n": 4, "tag": "a"}'

PLUGINS = """\
plugins: {python: {type: stepflow, command: stepflow-worker, args: [components.py]}}
routes: {"/python/{*component}": [{plugin: python}]}
"""

LONGER_FLOW = """\
name: three
steps:
  - {id: first, component: /python/first, input: {$input: $}}
  - {id: held, component: /python/held, input: {$step: first}}
  - {id: last, component: /python/first, input: {n: {$step: held, path: $.held}}}
output: {$step: last}
"""

WITH_A_VARIABLE = """\
schemas: {properties: {variables: {type: object, properties: {greeting: {type: string, default: hello}}}}}
steps: [{id: copy, component: /builtin/noop, input: [{$input: $}, {$variable: greeting}]}]
output: {$step: copy}
"""


def held(stepflow: Stepflow, flow: str = FLOW, grace: str = "0s") -> subprocess.Popen[str]:
    """Start a run, and wait until its second step is running. It ends when there is a file `go`."""
    config = f"{PLUGINS}server: {{stopGrace: {grace}}}\n"
    stepflow.write(components_py=COMPONENTS, flow_yaml=flow, **{"stepflow-config_yml": config})
    process = stepflow.start(*COMMAND, INPUT)
    until_seen(stepflow.folder, "held")
    return process


def kill(stepflow: Stepflow, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    stepflow.end(process)


def until_said(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    while text not in process.stderr.readline():
        assert process.poll() is None


def test_an_interrupted_run_goes_on_and_says_what_had_ended_before(stepflow: Stepflow) -> None:
    process = held(stepflow)
    process.send_signal(signal.SIGINT)
    interrupted = stepflow.end(process)
    assert (interrupted.code, interrupted.stdout) == (130, "")
    assert "interrupted: " in interrupted.stderr
    assert "hint: the same command with `--resume` goes on\n" in interrupted.stderr
    (stepflow.folder / "go").touch()
    resumed = stepflow(*COMMAND, INPUT, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert json.loads(resumed.stdout)["result"]["held"] == 5
    assert "done   first (/python/first) before this command\n" in resumed.stderr
    assert "done   held (/python/held) in " in resumed.stderr
    assert Counter(seen(stepflow.folder)) == {"first": 1, "held": 2}


def test_ctrl_c_lets_running_steps_end_and_begins_no_others(stepflow: Stepflow) -> None:
    process = held(stepflow, LONGER_FLOW, "60s")
    process.send_signal(signal.SIGINT)
    until_said(process, "letting steps end, for 1 min 00 s at most; Ctrl-C again ends at once")
    (stepflow.folder / "go").touch()
    interrupted = stepflow.end(process)
    assert (interrupted.code, interrupted.stdout) == (130, ""), interrupted.stderr
    assert "`--resume`" in interrupted.stderr
    assert Counter(seen(stepflow.folder)) == {"first": 1, "held": 1}
    resumed = stepflow(*COMMAND, INPUT, "--resume")
    assert json.loads(resumed.stdout)["result"] == {"made": 6}
    assert Counter(seen(stepflow.folder)) == {"first": 2, "held": 1}


def test_a_run_that_ends_while_its_last_step_is_let_end_has_its_result(stepflow: Stepflow) -> None:
    process = held(stepflow, grace="60s")
    process.send_signal(signal.SIGINT)
    until_said(process, "letting steps end")
    (stepflow.folder / "go").touch()
    ended = stepflow.end(process)
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["result"] == {"held": 5, "attempt": 1}


def test_a_second_ctrl_c_ends_at_once(stepflow: Stepflow) -> None:
    process = held(stepflow, grace="1h")
    process.send_signal(signal.SIGINT)
    until_said(process, "letting steps end")
    process.send_signal(signal.SIGINT)
    assert stepflow.end(process).code == 130


def test_an_unfinished_run_is_not_started_again_unless_it_is_wanted(stepflow: Stepflow) -> None:
    kill(stepflow, held(stepflow))
    (stepflow.folder / "go").touch()
    refused = stepflow(*COMMAND, INPUT)
    assert (refused.code, refused.stdout) == (2, "")
    assert "in `state` is the same as this one, and has not ended\n" in refused.stderr
    assert "hint: `--resume` goes on with it; `--new` starts another run\n" in refused.stderr
    assert Counter(seen(stepflow.folder)) == {"first": 1, "held": 1}
    assert stepflow(*COMMAND, '{"n": 5}').code == 0, "another input is another run"
    new = stepflow(*COMMAND, INPUT, "--new")
    assert json.loads(new.stdout)["result"] == {"held": 5, "attempt": 1}
    resumed = stepflow(*COMMAND, INPUT, "--resume")
    assert json.loads(resumed.stdout)["result"] == {"held": 5, "attempt": 2}
    assert stepflow(*COMMAND, INPUT).code == 0, "all that was begun has ended"


def test_the_same_input_written_in_another_way_is_the_same(stepflow: Stepflow) -> None:
    kill(stepflow, held(stepflow))
    (stepflow.folder / "go").touch()
    resumed = stepflow(*COMMAND, '{"tag": "\\u0061", "n": 4.0}', "--resume")
    assert json.loads(resumed.stdout)["result"] == {"held": 5, "attempt": 2}, resumed.stderr


def test_a_result_that_nobody_has_read_is_printed_by_resume(stepflow: Stepflow) -> None:
    process = held(stepflow)
    assert process.stdout is not None
    process.stdout.close()
    (stepflow.folder / "go").touch()
    unread = stepflow.end(process)
    assert unread.code == 130
    assert "hint: the same command with `--resume` prints them\n" in unread.stderr
    refused = stepflow(*COMMAND, INPUT)
    assert refused.code == 2
    assert "has ended, but nobody has got its results" in refused.stderr
    resumed = stepflow(*COMMAND, INPUT, "--resume")
    assert json.loads(resumed.stdout)["result"] == {"held": 5, "attempt": 1}
    assert Counter(seen(stepflow.folder)) == {"first": 1, "held": 1}


def test_the_results_of_a_finished_batch_are_printed_again_and_nothing_is_run(
    stepflow: Stepflow,
) -> None:
    body = "@server.component\ndef first(input: dict) -> dict:\n"
    fails = "    if input['n'] == 1:\n        raise ValueError('no')\n"
    source = COMPONENTS.replace(body, f"{body}{fails}").replace("os.path.exists('go')", "True")
    stepflow.write(components_py=source, flow_yaml=FLOW, inputs_jsonl='{"n": 0}\n{"n": 1}\n')
    (stepflow.folder / "go").touch()
    command = ("run", "flow.yaml", "--inputs", "inputs.jsonl", "--state", "state")
    ended = stepflow(*command)
    before = seen(stepflow.folder)
    stepflow.write(components_py="raise SystemExit")
    for _ in range(2):
        again = stepflow(*command, "--resume", "--output", "out.jsonl")
        assert (ended.code, again.code) == (1, 1), again.stderr
        assert "the run has ended: these are its results\n" in again.stderr
        written = (stepflow.folder / "out.jsonl").read_text().splitlines()
        assert [json.loads(line)["itemIndex"] for line in written] == [0, 1]
        assert sorted(written) == sorted(ended.stdout.splitlines())
        assert "1 of 2 items failed" in again.stderr
    assert seen(stepflow.folder) == before


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (["--input-json", "2"], "input"),
        (["--input-json", "1", "--var", "greeting=bye"], "variables"),
        (
            ["--input-json", "1", "--overrides-json", '{"copy": {"value": {"input": 1}}}'],
            "overrides",
        ),
        (["--inputs", "three.jsonl"], "input: it has 1 item, and not 3"),
        (["--input-json", "2", "--var", "greeting=bye"], None),
    ],
)
def test_when_nothing_can_go_on_it_is_said_what_differs(
    stepflow: Stepflow, changed: list[str], part: str | None
) -> None:
    stepflow.write(flow_yaml=WITH_A_VARIABLE, three_jsonl="1\n1\n1\n")
    command = ("run", "flow.yaml", "--state", "state")
    assert stepflow(*command, "--input-json", "1").code == 0
    ended = stepflow(*command, *changed, "--resume")
    assert (ended.code, ended.stdout) == (2, ""), ended.stderr
    assert "`state` has no run of this flow with this input" in ended.stderr
    assert f"there is the same except for its {part}\n" in ended.stderr or part is None
    assert ("except" in ended.stderr) == (part is not None), ended.stderr


def test_another_flow_is_named_too_unless_several_runs_are_near(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN, other_yaml=BUILTIN.replace("copy", "other"))
    command = ("--state", "state", "--input-json", "1")
    assert stepflow("run", "flow.yaml", *command).code == 0
    ended = stepflow("run", "other.yaml", *command, "--resume")
    assert ended.code == 2
    assert "there is the same except for its flow\n" in ended.stderr
    assert stepflow("run", "flow.yaml", *command).code == 0
    ended = stepflow("run", "other.yaml", *command, "--resume")
    assert (ended.code, "except" in ended.stderr) == (2, False), ended.stderr


def test_a_folder_that_is_wrong_is_a_usage_error_and_nothing_is_made(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    (stepflow.folder / "empty").mkdir()
    for arguments, message in {
        ("--resume",): "--state",
        ("--new",): "--state",
        ("--state", "empty", "--resume", "--new"): "cannot be used with",
        ("--state", "nowhere", "--resume"): "error: there is no folder `nowhere`\n",
        ("--state", "empty", "--resume"): "error: there are no runs in the folder `empty`\n",
        ("--state", "flow.yaml"): "error: `flow.yaml` is a file, not a folder\n",
        ("--state", "flow.yaml", "--resume"): "error: `flow.yaml` is a file, not a folder\n",
    }.items():
        ended = stepflow("run", "flow.yaml", *arguments)
        assert (ended.code, ended.stdout) == (2, ""), arguments
        assert message in ended.stderr, ended.stderr
    assert [path.name for path in sorted(stepflow.folder.rglob("*"))] == ["empty", "flow.yaml"]


EACH = """\

@server.component
def each(input: dict) -> int:
    if input["n"] == 1:
        while not os.path.exists("seen"):
            time.sleep(0.01)
        return 1
    note("held")
    while not os.path.exists("go"):
        time.sleep(0.01)
    return 2
"""


def test_items_that_end_after_ctrl_c_are_printed(stepflow: Stepflow) -> None:
    flow = (
        "steps: [{id: each, component: /python/each, input: {$input: $}}]\noutput: {$step: each}\n"
    )
    stepflow.write(components_py=COMPONENTS + EACH, flow_yaml=flow, inputs_jsonl='{"n": 2}\n' * 3)
    command = ("run", "flow.yaml", "--inputs", "inputs.jsonl", "--state", "state")
    process = stepflow.start(*command, "--max-concurrency", "2")
    until_seen(stepflow.folder, "held", 2)
    process.send_signal(signal.SIGINT)
    until_said(process, "letting steps end")
    (stepflow.folder / "go").touch()
    ended = stepflow.end(process)
    printed = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (ended.code, sorted(line["itemIndex"] for line in printed)) == (130, [0, 1])
    assert seen(stepflow.folder) == ["held", "held"]


def test_a_disk_that_is_full_lets_running_steps_end(stepflow: Stepflow) -> None:
    flow = (
        "steps: [{id: each, component: /python/each, input: {$input: $}}]\noutput: {$step: each}\n"
    )
    stepflow.write(
        components_py=COMPONENTS + EACH, flow_yaml=flow, inputs_jsonl='{"n": 1}\n{"n": 2}\n'
    )
    command = ("run", "flow.yaml", "--inputs", "inputs.jsonl", "--state", "state", "--quiet")
    process = stepflow.start(*command, "--output", "/dev/full")
    until_said(process, "letting steps end")
    (stepflow.folder / "go").touch()
    ended = stepflow.end(process)
    assert ended.code == 3, ended.stderr
    assert "error: cannot write the output `/dev/full`: No space left on device" in ended.stderr
    assert "`--resume`" in ended.stderr
    resumed = stepflow(*command, "--resume")
    lines = [json.loads(line)["result"] for line in resumed.stdout.splitlines()]
    assert (resumed.code, sorted(lines)) == (0, [1, 2]), resumed.stderr
    assert seen(stepflow.folder) == ["held"]
