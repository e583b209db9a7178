"""A worker on uvloop works as on Python's own loop."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no uvloop on Windows")

SOURCE = """
@server.component
async def loop(input: str) -> str:
    return type(asyncio.get_running_loop()).__module__

@server.component
async def blocks(input: str) -> str:
    time.sleep(600)
    return input

@server.component
async def waits(input: str, context: StepflowContext) -> str:
    return await context.get_blob(input)
"""


@pytest.fixture
def worker(start: "Start", monkeypatch: pytest.MonkeyPatch) -> "Worker":
    monkeypatch.delenv("STEPFLOW_WORKER_UVLOOP")
    return start(SOURCE)


def test_components_run_on_uvloop(worker: "Worker") -> None:
    assert worker.output("/loop", "") == "uvloop"


def test_uvloop_can_be_turned_off(start: "Start") -> None:
    assert start(SOURCE).output("/loop", "") == "asyncio.unix_events"


def test_a_component_that_blocks_uvloop_does_not_stop_the_transport(worker: "Worker") -> None:
    worker.begin_execute("/blocks", "")
    assert worker.request("components/list")["result"]["components"]


def test_the_end_of_the_input_ends_the_worker(worker: "Worker") -> None:
    assert worker.output("/loop", "") == "uvloop"
    worker.close_input()
    assert worker.wait() == 0


def test_sigterm_lets_open_executes_end(worker: "Worker") -> None:
    id = worker.begin_execute("/waits", "x")
    request = worker.called("blobs/get")
    worker.process.send_signal(signal.SIGTERM)
    worker.give_blob(request, "finished")
    assert worker.answer(id)["result"] == {"output": "finished"}
    assert worker.wait() == 0


def test_messages_may_come_from_a_file(worker: "Worker", tmp_path: Path) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "components/list", "params": {}}
    (tmp_path / "messages").write_text(json.dumps(message) + "\n")
    with (tmp_path / "messages").open() as messages:
        done = subprocess.run(
            [sys.executable, "-m", "stepflow.worker", "components.py"],
            cwd=tmp_path,
            stdin=messages,
            capture_output=True,
            timeout=30,
            check=True,
        )
    assert json.loads(done.stdout)["id"] == 1
