"""What survives the end of a server: all that it has said."""

import json
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN
from tests.cli.serving import Server, begin, killed, serving, until_ready

TIMEOUT = 60.0

WORKER = ("--worker", "components.py")

COMPONENTS = """\
import os
import time

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


def note(word: str) -> None:
    with open("seen", "a") as seen:
        seen.write(word + "\\n")


@server.component
def first(input: dict) -> dict:
    note("first")
    return {"made": input["n"] + 1}


@server.component
def held(input: dict, context: StepflowContext) -> dict:
    note("held")
    while not os.path.exists("go"):
        time.sleep(0.01)
    return {"held": input["made"], "attempt": context.attempt}
"""

FLOW = """\
name: two
steps:
  - {id: first, component: /python/first, input: {$input: $}}
  - {id: held, component: /python/held, input: {$step: first}}
output: {$step: held}
"""


def until_seen(folder: Path, word: str, times: int = 1) -> None:
    """Wait until components have noted this word so often."""
    deadline = time.monotonic() + TIMEOUT
    while seen(folder).count(word) < times:
        assert time.monotonic() < deadline, f"`{word}` was not noted"
        time.sleep(0.01)


def seen(folder: Path) -> list[str]:
    path = folder / "seen"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def finished(server: Server, run: str) -> dict[str, Any]:
    answer = server("GET", f"/runs/{run}?wait=true&timeoutSecs=60")
    assert answer.status == 200, answer
    return answer.body


def test_what_a_killed_server_has_said_is_there_after_its_restart(stepflow: Stepflow) -> None:
    with killed(stepflow) as server:
        stored = server("POST", "/flows", {"flow": BUILTIN}).body["flowId"]
        run = server("POST", "/runs", {"flow": BUILTIN, "input": [1, {"a": 2}], "wait": True}).body
        assert run["status"] == "completed"
        items = server("GET", f"/runs/{run['runId']}/items").body
        steps = server("GET", f"/runs/{run['runId']}/steps?itemIndex=1").body
    with serving(stepflow) as server:
        assert server("GET", f"/runs/{run['runId']}/items").body == items
        assert server("GET", f"/runs/{run['runId']}/steps?itemIndex=1").body == steps
        assert server("GET", f"/flows/{stored}").status == 200


def test_a_run_goes_on_after_a_kill_and_no_finished_step_runs_again(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    with killed(stepflow, *WORKER) as server:
        run = server("POST", "/runs", {"flow": FLOW, "input": [{"n": 1}]}).body["runId"]
        until_seen(stepflow.folder, "held")
    (stepflow.folder / "go").touch()
    with serving(stepflow, *WORKER) as server:
        assert finished(server, run)["status"] == "completed"
        item = server("GET", f"/runs/{run}/items").body["items"][0]
    assert item["result"] == {"outcome": "success", "result": {"held": 2, "attempt": 2}}
    assert Counter(seen(stepflow.folder)) == {"first": 1, "held": 2}


def test_a_server_that_is_stopped_hands_its_runs_over(stepflow: Stepflow) -> None:
    config = """\
plugins: {python: {type: stepflow, command: stepflow-worker, args: [components.py]}}
routes: {"/python/{*component}": [{plugin: python}]}
server: {stopGrace: 0s}
"""
    stepflow.write(**{"components_py": COMPONENTS, "stepflow-config_yml": config})
    with serving(stepflow) as server:
        run = server("POST", "/runs", {"flow": FLOW, "input": [{"n": 1}]}).body["runId"]
        until_seen(stepflow.folder, "held")
    (stepflow.folder / "go").touch()
    with serving(stepflow) as server:
        assert finished(server, run)["status"] == "completed"


def test_a_server_that_is_stopped_lets_steps_end(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    server = begin(stepflow, *WORKER)
    run = server("POST", "/runs", {"flow": FLOW, "input": [{"n": 1}]}).body["runId"]
    until_seen(stepflow.folder, "held")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.stderr is not None
    while "letting steps end, for 5.0 s at most" not in server.process.stderr.readline():
        assert server.process.poll() is None
    (stepflow.folder / "go").touch()
    assert stepflow.end(server.process).code == 0
    with serving(stepflow, *WORKER) as server:
        assert finished(server, run)["status"] == "completed"
    assert Counter(seen(stepflow.folder)) == {"first": 1, "held": 1}


def test_what_a_worker_ends_while_it_is_stopped_is_kept(stepflow: Stepflow) -> None:
    config = """\
plugins: {python: {type: stepflow, command: stepflow-worker, args: [components.py]}}
routes: {"/python/{*component}": [{plugin: python}]}
server: {stopGrace: 0s}
"""
    stepflow.write(**{"components_py": COMPONENTS, "stepflow-config_yml": config})
    server = begin(stepflow, "--log-level", "info")
    run = server("POST", "/runs", {"flow": FLOW, "input": [{"n": 1}]}).body["runId"]
    until_seen(stepflow.folder, "held")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.stderr is not None
    while "stopping" not in server.process.stderr.readline():
        assert server.process.poll() is None
    (stepflow.folder / "go").touch()
    assert stepflow.end(server.process).code == 0
    with serving(stepflow) as server:
        assert finished(server, run)["status"] == "completed"
    assert Counter(seen(stepflow.folder)) == {"first": 1, "held": 1}


def test_a_sleeping_run_wakes_after_a_restart(stepflow: Stepflow) -> None:
    flow = {
        "steps": [{"id": "nap", "component": "/builtin/sleep", "input": {"duration_ms": 1500}}],
        "output": {"$step": "nap"},
    }
    with killed(stepflow) as server:
        run = server("POST", "/runs", {"flow": flow, "input": [1]}).body["runId"]
    with serving(stepflow) as server:
        assert finished(server, run)["status"] == "completed"


def test_a_cancelled_run_stays_cancelled(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    with killed(stepflow, *WORKER) as server:
        run = server("POST", "/runs", {"flow": FLOW, "input": [{"n": 1}]}).body["runId"]
        until_seen(stepflow.folder, "held")
        assert server("POST", f"/runs/{run}/cancel").status == 200
    with serving(stepflow, *WORKER) as server:
        assert server("GET", f"/runs/{run}").body["status"] == "cancelled"


def test_a_second_server_of_the_same_state_is_refused_by_name(stepflow: Stepflow) -> None:
    with serving(stepflow) as server:
        other = Stepflow(stepflow.command, stepflow.folder)
        ended = other("serve", "--port", "0")
        assert (ended.code, ended.stdout) == (3, "")
        assert f"is in use by process {server.process.pid}" in ended.stderr, ended.stderr
        with serving(other, "--memory") as beside:
            assert beside("GET", "/health").status == 200


def test_state_that_cannot_be_used_is_refused_with_the_reason(stepflow: Stepflow) -> None:
    folder = stepflow.folder
    (folder / "flat").write_text("no folder")
    (folder / "text.db").write_text("this is no database, and long enough to look like one" * 20)
    with sqlite3.connect(folder / "foreign.db") as foreign:
        foreign.execute("CREATE TABLE _stepflow_migrations (name TEXT)")
    for path, reason in {
        "flat/state.db": "cannot open",
        "text.db": "damaged",
        "foreign.db": "another program or of an older Stepflow",
    }.items():
        (folder / "c.yml").write_text(f"stateStore: {{type: sqlite, path: {path}}}\n")
        ended = stepflow("serve", "--port", "0", "--config", "c.yml")
        assert (ended.code, ended.stdout) == (3, ""), path
        assert reason in ended.stderr and path in ended.stderr, ended.stderr


def test_a_published_configuration_keeps_its_runs(stepflow: Stepflow) -> None:
    config = """\
plugins: {builtin: {type: builtin}}
routes: {"/builtin/{*component}": [{plugin: builtin}]}
stateStore: {type: sqlite, databaseUrl: "sqlite:kept.db?mode=rwc", maxConnections: 10}
"""
    stepflow.write(**{"stepflow-config_yml": config})
    with killed(stepflow) as server:
        run = server("POST", "/runs", {"flow": BUILTIN, "input": [7], "wait": True}).body["runId"]
    assert (stepflow.folder / "kept.db").stat().st_mode & 0o777 == 0o600
    with serving(stepflow) as server:
        assert server("GET", f"/runs/{run}").body["status"] == "completed"
    assert not (stepflow.folder / ".stepflow").exists()


def test_it_says_where_runs_are_kept(stepflow: Stepflow) -> None:
    for arguments, said in {
        (): "runs and flows are kept in `",
        ("--memory",): "in memory only",
    }.items():
        server = begin(stepflow, *arguments)
        server.process.send_signal(signal.SIGTERM)
        ended = stepflow.end(server.process)
        assert (ended.code, said in ended.stderr) == (0, True), ended.stderr


def items_of(stdout: str) -> list[int]:
    """Return the indexes of the whole lines: a kill may cut the last one."""
    lines = [line for line in stdout.splitlines(keepends=True) if line.endswith("\n")]
    return sorted(json.loads(line)["itemIndex"] for line in lines)


EACH = """\
import time
from stepflow.worker import StepflowServer

server = StepflowServer()


@server.component
def work(input: int) -> int:
    time.sleep(0.005)
    with open("seen", "a") as seen:
        seen.write(f"{input}\\n")
    return input * 2
"""

EACH_FLOW = """\
name: each
steps:
  - {id: work, component: /python/work, input: {$input: $}}
output: {$step: work}
"""


def test_a_batch_that_is_killed_and_resumed_prints_every_item(stepflow: Stepflow) -> None:
    items = 200
    stepflow.write(components_py=EACH, flow_yaml=EACH_FLOW)
    (stepflow.folder / "inputs.jsonl").write_text("".join(f"{n}\n" for n in range(items)))
    command = ["run", "flow.yaml", "--inputs", "inputs.jsonl", "--state", "state", "--quiet"]
    seen_file = stepflow.folder / "seen"
    finished: dict[int, int] = {}
    for round_, upto in enumerate([20, 60, 120]):
        process = stepflow.start(*command, *(["--resume"] if round_ else []))
        deadline = time.monotonic() + TIMEOUT
        while not seen_file.exists() or len(seen_file.read_text().split()) < upto:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        printed = items_of(stepflow.end(process).stdout)
        executions = Counter(map(int, seen_file.read_text().split()))
        finished |= {item: executions[item] for item in printed if item not in finished}
    ended = stepflow(*command, "--resume")
    assert (ended.code, items_of(ended.stdout)) == (0, list(range(items))), ended.stderr
    executions = Counter(map(int, seen_file.read_text().split()))
    assert set(executions) == set(range(items))
    # What had been printed was durable: no later call has executed it again.
    assert finished and {item: executions[item] for item in finished} == finished
    again = stepflow(*command, "--resume")
    assert (again.code, items_of(again.stdout)) == (0, list(range(items))), again.stderr
    assert Counter(map(int, seen_file.read_text().split())) == executions


def test_a_run_with_a_state_leaves_other_runs_of_it_alone(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS, flow_yaml=FLOW, copy_yaml=BUILTIN)
    process = stepflow.start("run", "flow.yaml", "--input-json", '{"n": 4}', "--state", "state")
    until_seen(stepflow.folder, "held")
    process.send_signal(signal.SIGKILL)
    stepflow.end(process)
    (stepflow.folder / "go").touch()
    ended = stepflow("run", "copy.yaml", "--input-json", "1", "--state", "state")
    assert (ended.code, json.loads(ended.stdout)["result"]) == (0, 1)
    assert Counter(seen(stepflow.folder)) == {"first": 1, "held": 1}
    resumed = stepflow(
        "run", "flow.yaml", "--input-json", '{"n": 4}', "--state", "state", "--resume"
    )
    assert resumed.code == 0, resumed.stderr


def test_a_server_that_cannot_store_says_why_until_it_can_again(stepflow: Stepflow) -> None:
    request = {"flow": BUILTIN, "input": [1], "wait": True}
    with serving(stepflow) as server:
        assert until_ready(server, 200)["waiting"] == []
        before = server("POST", "/runs", request).body["runId"]
        database = stepflow.folder / ".stepflow/state.db"
        database.rename(stepflow.folder / "away")
        refused = server("POST", "/runs", request)
        assert (refused.status, refused.body["kind"]) == (503, "UNAVAILABLE")
        reason = "its file was deleted or replaced"
        assert reason in refused.body["message"] and str(stepflow.folder) not in str(refused.body)
        waiting = until_ready(server, 503)["waiting"]
        assert waiting == [{"part": "stateStore", "reason": reason}]
        (stepflow.folder / "away").rename(database)
        # Nobody has to submit anything for it.
        assert until_ready(server, 200)["waiting"] == []
        assert server("POST", "/runs", request).body["status"] == "completed"
        assert server("GET", f"/runs/{before}").body["status"] == "completed"


@pytest.mark.parametrize(
    ("config", "durability"),
    [
        ("stateStore: {type: sqlite}\n", None),
        ("stateStore: {type: sqlite, durability: relaxed}\n", "relaxed"),
        ("stateStore: {type: inMemory}\n", "memory"),
    ],
)
def test_each_answer_says_what_may_be_lost(
    stepflow: Stepflow, config: str, durability: str | None
) -> None:
    stepflow.write(**{"stepflow-config_yml": config})
    with serving(stepflow) as server:
        for path in ("/health", "/runs/x"):
            assert server("GET", path).durability == durability


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_a_run_whose_large_value_is_damaged_says_so_and_the_others_go_on(
    stepflow: Stepflow, damage: str
) -> None:
    config = """\
plugins:
  builtin: {type: builtin}
  python: {type: stepflow, command: stepflow-worker, args: [components.py]}
routes: {"/python/{*component}": [{plugin: python}], "/{*component}": [{plugin: builtin}]}
blobStore: {type: filesystem, inlineBelow: 10KiB}
"""
    flow = {
        "steps": [
            {"id": "held", "component": "/python/held", "input": {"made": 1}},
            {
                "id": "last",
                "component": "/noop",
                "input": [{"$step": "held"}, {"$input": "$.large"}],
            },
        ],
        "output": {"$step": "last"},
    }
    stepflow.write(**{"components_py": COMPONENTS, "stepflow-config_yml": config})
    with killed(stepflow) as server:
        damaged = server("POST", "/runs", {"flow": flow, "input": [{"large": "x" * 20_000}]}).body
        sound = server("POST", "/runs", {"flow": flow, "input": [{"large": "x"}]}).body["runId"]
        until_seen(stepflow.folder, "held")
    for file in (stepflow.folder / ".stepflow/state.db-blobs").rglob("*"):
        if file.is_file():
            file.write_text("{}") if damage == "changed" else file.unlink()
    (stepflow.folder / "go").touch()
    server = begin(stepflow)
    run = finished(server, damaged["runId"])
    assert (run["status"], run["items"]["failed"]) == ("recoveryFailed", 1)
    message = "the run cannot continue: what is stored of it is damaged"
    assert run["result"]["error"]["message"] == message
    assert server("POST", f"/runs/{damaged['runId']}/cancel").status == 409
    assert finished(server, sound)["status"] == "completed"
    server.process.send_signal(signal.SIGTERM)
    ended = stepflow.end(server.process)
    assert ended.code == 0
    assert "the run cannot continue" in ended.stderr and "state.db-blobs" in ended.stderr
    checked = stepflow("db", "check")
    assert (checked.code, "it was given up" in checked.stdout) == (1, True), checked.stdout


def test_two_interrupts_are_no_crash_of_the_server(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    run = ""
    for _ in range(4):
        server = begin(stepflow, *WORKER, "--log-level", "info")
        run = run or server("POST", "/runs", {"flow": FLOW, "input": [{"n": 1}]}).body["runId"]
        held = seen(stepflow.folder).count("held")
        until_counted(stepflow.folder, "held", held + 1)
        marked(stepflow.folder)
        server.process.send_signal(signal.SIGINT)
        assert server.process.stderr is not None
        while "stopping" not in server.process.stderr.readline():
            assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        assert stepflow.end(server.process).code == 130
    (stepflow.folder / "go").touch()
    with serving(stepflow, *WORKER) as server:
        assert finished(server, run)["status"] == "completed"


def until_counted(folder: Path, word: str, number: int) -> None:
    """Wait until a component has noted this word so many times."""
    deadline = time.monotonic() + TIMEOUT
    while seen(folder).count(word) < number:
        assert time.monotonic() < deadline, f"`{word}` was not noted"
        time.sleep(0.01)


def marked(folder: Path) -> None:
    """Wait until the store knows that a worker has the step: a crash would count from then on."""
    deadline = time.monotonic() + TIMEOUT
    with sqlite3.connect(f"file:{folder}/.stepflow/state.db?mode=ro", uri=True) as database:
        while not database.execute("SELECT 1 FROM had").fetchall():
            assert time.monotonic() < deadline, "the step was not marked"
            time.sleep(0.01)
