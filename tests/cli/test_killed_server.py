"""A killed server: all processes that its workers have started end."""

import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.serving import killed

WORKER = """\
import subprocess
from pathlib import Path
from stepflow.worker import StepflowServer

server = StepflowServer()
SLEEP = ["sleep", "7777"]


@server.component
def begin(input: int) -> list[int]:
    started = [
        subprocess.Popen(SLEEP),
        subprocess.Popen(SLEEP, env={}),
        subprocess.Popen(SLEEP, start_new_session=True),
        subprocess.Popen(["sh", "-c", "sleep 7777 & sleep 7777"], start_new_session=True),
    ]
    return [each.pid for each in started]
"""

FLOW = {
    "steps": [{"id": "begun", "component": "/python/begin", "input": 1}],
    "output": {"$step": "begun"},
}

CONFIG = """\
plugins: {python: {type: stepflow, command: stepflow-worker, args: [components.py%s]}}
routes: {"/python/{*component}": [{plugin: python}]}
"""


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes as Linux shows them")
@pytest.mark.parametrize("how", ["", ", --http"])
def test_processes_of_a_component_end_with_a_killed_server(stepflow: Stepflow, how: str) -> None:
    stepflow.write(**{"components_py": WORKER, "stepflow-config_yml": CONFIG % how})
    # Its end checks that no process with this test's mark is left.
    with killed(stepflow) as server:
        run = server("POST", "/runs", {"flow": FLOW, "input": [1], "wait": True}).body
        assert run.get("status") == "completed", run
        pids = run["result"]["result"]
        assert all(map(is_alive, pids))
    # The processes without the mark must end too.
    deadline = time.monotonic() + 30
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [pid for pid in pids if is_alive(pid)] == []
