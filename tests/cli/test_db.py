"""`stepflow db`: a copy, a check, and room that is given back."""

import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN, MAP
from tests.cli.serving import begin, killed, serving

STATE = Path(".stepflow", "state.db")


def made_a_run(stepflow: Stepflow, *arguments: str) -> str:
    with serving(stepflow, *arguments) as server:
        run = server("POST", "/runs", {"flow": BUILTIN, "input": [1, 2], "wait": True}).body
    assert run["status"] == "completed"
    return str(run["runId"])


def test_a_copy_of_a_running_server_has_its_runs(stepflow: Stepflow) -> None:
    other = Stepflow(stepflow.command, stepflow.folder)
    with serving(stepflow) as server:
        run = server("POST", "/runs", {"flow": BUILTIN, "input": [7], "wait": True}).body["runId"]
        copied = other("db", "backup", "copy.db")
        assert (copied.code, copied.stdout) == (0, ""), copied.stderr
        assert "copy.db" in copied.stderr
    assert (stepflow.folder / "copy.db").stat().st_mode & 0o777 == 0o600
    assert stepflow("db", "check", "--path", "copy.db").code == 0
    stepflow.write(c_yml="stateStore: {type: sqlite, path: copy.db}\nplugins: {}\n")
    with serving(stepflow, "--config", "c.yml") as server:
        assert server("GET", f"/runs/{run}").body["status"] == "completed"
    again = stepflow("db", "backup", "copy.db")
    assert (again.code, "exists already" in again.stderr) == (3, True), again.stderr


def test_a_sound_database_is_called_so_and_a_changed_one_is_not(stepflow: Stepflow) -> None:
    run = made_a_run(stepflow)
    sound = stepflow("db", "check")
    assert (sound.code, sound.stdout) == (0, ""), sound
    with sqlite3.connect(stepflow.folder / STATE) as database:
        database.execute("UPDATE runs SET status = 3")
    database.close()
    found = stepflow("db", "check")
    assert found.code == 1 and run in found.stdout, found


def test_a_database_with_sub_runs_is_sound(stepflow: Stepflow) -> None:
    flow = MAP.replace("/python/work", "/builtin/noop")
    with serving(stepflow) as server:
        run = server("POST", "/runs", {"flow": flow, "input": [[1, 2]], "wait": True}).body
    assert run["status"] == "completed", run
    sound = stepflow("db", "check")
    assert (sound.code, sound.stdout) == (0, ""), sound


def test_runs_whose_time_is_over_are_deleted(stepflow: Stepflow) -> None:
    config = (
        'plugins: {b: {type: builtin}}\nroutes: {"/builtin": [{plugin: b}]}\n'
        "retention: {runs: 0s, keepFailed: 1d}\n"
    )
    stepflow.write(**{"stepflow-config_yml": config})
    run = made_a_run(stepflow)
    vacuumed = stepflow("db", "vacuum")
    assert vacuumed.code == 0, vacuumed.stderr
    deleted = "deleted 1 finished run, 0 blobs and 0 bytes of files; `retention`: finished runs are deleted after 0 s"
    assert f"{deleted}, and failed ones after 1 d\n" in vacuumed.stderr
    again = stepflow("db", "vacuum")
    assert (again.code, "deleted" in again.stderr) == (0, False), again.stderr
    with serving(stepflow) as server:
        assert server("GET", f"/runs/{run}").status == 404
    assert stepflow("db", "check").code == 0


def test_a_server_says_at_its_start_which_runs_it_will_delete(stepflow: Stepflow) -> None:
    for config, said in {
        "retention: {runs: 30}\n": "finished runs are deleted after 30 s\n",
        "retention: {keepFailed: 90d}\n": "failed runs are deleted after 90 d\n",
        "plugins: {}\n": None,
    }.items():
        stepflow.write(c_yml=config)
        server = begin(stepflow, "--config", "c.yml")
        server.process.send_signal(signal.SIGTERM)
        stderr = stepflow.end(server.process).stderr
        assert said in stderr if said else "deleted" not in stderr, stderr


@pytest.mark.parametrize("command", [["check"], ["vacuum"]])
def test_a_database_that_a_server_has_is_left_alone(stepflow: Stepflow, command: list[str]) -> None:
    other = Stepflow(stepflow.command, stepflow.folder)
    with serving(stepflow) as server:
        ended = other("db", *command)
        assert (ended.code, ended.stdout) == (3, "")
        assert f"is in use by process {server.process.pid}" in ended.stderr


@pytest.mark.parametrize("command", [["backup", "new.db"], ["check"], ["vacuum"]])
def test_what_is_not_there_is_not_made(stepflow: Stepflow, command: list[str]) -> None:
    ended = stepflow("db", *command, "--path", "nothing.db")
    assert (ended.code, ended.stdout) == (3, "")
    assert "nothing.db" in ended.stderr
    assert not list(stepflow.folder.iterdir())
    stepflow.write(**{"stepflow-config_yml": "stateStore: {type: inMemory}\n"})
    ended = stepflow("db", *command)
    assert ended.code == 3 and "there is no database" in ended.stderr


LONG_VALUES = """\
stateStore: {type: sqlite, path: db/s.db}
blobStore: {type: filesystem, path: longs, inlineBelow: 10B}
plugins: {b: {type: builtin}}
routes: {"/builtin": [{plugin: b}]}
"""


def test_a_copy_without_its_large_values_is_refused(stepflow: Stepflow) -> None:
    stepflow.write(**{"stepflow-config_yml": LONG_VALUES})
    with serving(stepflow) as server:
        submitted = {"flow": BUILTIN, "input": ["a long text"], "wait": True}
        assert server("POST", "/runs", submitted).body["status"] == "completed"
    refused = stepflow("db", "backup", "--path", "db/s.db", "b.db")
    assert (refused.code, refused.stdout) == (3, ""), refused
    assert "`--blobs`" in refused.stderr
    named = stepflow("db", "backup", "--path", "db/s.db", "--blobs", "longs", "b.db")
    assert named.code == 0, named.stderr
    configured = stepflow("db", "backup", "c.db")
    assert configured.code == 0, configured.stderr
    for copy in ("b.db", "c.db"):
        assert stepflow("db", "check", "--path", copy).code == 0
    assert stepflow("db", "check", "--path", "db/s.db", "--blobs", "longs").code == 0
    assert stepflow("db", "check", "--path", "db/s.db").code == 1


def test_a_backup_is_restored_though_the_server_was_killed(stepflow: Stepflow) -> None:
    other = Stepflow(stepflow.command, stepflow.folder)
    submitted = {"flow": BUILTIN, "input": ["text"], "wait": True}
    with killed(stepflow) as server:
        first = server("POST", "/runs", submitted).body["runId"]
        assert other("db", "backup", "b.db").code == 0
        second = server("POST", "/runs", submitted).body["runId"]
        held = other("db", "restore", "b.db")
        assert held.code == 3 and "is in use by process" in held.stderr
    by_hand = stepflow.folder / "by-hand"
    shutil.copytree(stepflow.folder / STATE.parent, by_hand)
    restored = stepflow("db", "restore", "b.db")
    assert (restored.code, restored.stdout) == (0, ""), restored.stderr
    before = [line.split("`")[1] for line in restored.stderr.splitlines() if "before" in line]
    assert before and all(Path(stepflow.folder, name).exists() for name in before), restored.stderr
    with serving(stepflow) as server:
        assert server("GET", f"/runs/{first}").body["status"] == "completed"
        assert server("GET", f"/runs/{second}").status == 404
    assert stepflow("db", "check").code == 0
    assert stepflow("db", "check", "--path", before[0]).code == 0

    shutil.copy(stepflow.folder / "b.db", by_hand / "state.db")
    stepflow.write(c_yml="stateStore: {type: sqlite, path: by-hand/state.db}\nplugins: {}\n")
    for command in (["serve", "--port", "0"], ["db", "check"]):
        refused = stepflow(*command, "--config", "c.yml")
        assert (refused.code, refused.stdout) == (3, ""), refused
        assert "`stepflow db restore FILE`" in refused.stderr


def test_a_large_value_that_is_lost_is_not_a_run_that_is_not_there(stepflow: Stepflow) -> None:
    stepflow.write(**{"stepflow-config_yml": LONG_VALUES})
    with serving(stepflow) as server:
        submitted = {"flow": BUILTIN, "input": ["long" * 1_000], "wait": True}
        run = server("POST", "/runs", submitted).body["runId"]
        shutil.rmtree(stepflow.folder / "longs")
        items = server("GET", f"/runs/{run}/items")
        assert items.status == 503, items
        assert "os error" not in items.body["message"], items
