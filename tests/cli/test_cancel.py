"""A cancelled run stops its own code, and no other."""

import os
import select
from pathlib import Path

from tests.cli.conftest import TIMEOUT, Doorbell, Stepflow
from tests.cli.serving import Server, serving

COMPONENTS = """\
import asyncio
import time

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


@server.component
async def sleeping_async(input: str) -> None:
    with open(input, "w") as bell:
        print("begun", file=bell, flush=True)
        await asyncio.sleep(3600)


@server.component
def sleeping_sync(input: str) -> None:
    with open(input, "w") as bell:
        print("begun", file=bell, flush=True)
        time.sleep(3600)


@server.component
def busy(input: str) -> None:
    with open(input, "w") as bell:
        print("begun", file=bell, flush=True)
        while True:
            pass


@server.component
def asking(input: str, context: StepflowContext) -> None:
    with open(input, "w") as bell:
        print("begun", file=bell, flush=True)
        while not context.cancelled:
            time.sleep(0.01)


@server.component
def neighbour(input: str) -> str:
    with open(input, "w") as bell:
        print("begun", file=bell, flush=True)
    time.sleep(2)
    return "done"


@server.component
def echo(input: str) -> str:
    return input
"""


def one(component: str, **more: str) -> dict[str, object]:
    """Return a flow of one step."""
    step = {"id": "it", "component": f"/python/{component}", "input": {"$input": "$"}, **more}
    return {"steps": [step], "output": {"$step": "it"}}


class Bell(Doorbell):
    """A pipe that shows when the code that opens it begins, and when it closes it."""

    def wait_for_the_end(self) -> None:
        ready, _, _ = select.select([self._reader], [], [], TIMEOUT)
        assert ready and os.read(self._reader, 1) == b"", "the code goes on"


def begin(server: Server, folder: Path, component: str) -> tuple[str, Bell]:
    """Start a run of one step, and wait until the step runs."""
    bell = Bell(folder / f"{component}.bell")
    created = server("POST", "/runs", {"flow": one(component), "input": [f"{component}.bell"]})
    assert bell.wait() == "begun\n"
    return created.body["runId"], bell


def cancel(server: Server, run: str) -> None:
    """Cancel a run; it must be cancelled at once, also if its code goes on."""
    assert server("POST", f"/runs/{run}/cancel").status == 200
    assert server("GET", f"/runs/{run}").body["status"] == "cancelled"


def test_cancelled_code_stops_and_other_executes_of_the_worker_go_on(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    with serving(stepflow, "--worker", "components.py") as server:
        doomed = [
            begin(server, stepflow.folder, component)
            for component in ("sleeping_async", "sleeping_sync", "busy", "asking")
        ]
        neighbour, heard = begin(server, stepflow.folder, "neighbour")
        for run, _ in doomed:
            cancel(server, run)
        for _, bell in doomed:
            bell.wait_for_the_end()
            bell.close()
        heard.close()
        assert server("GET", f"/runs/{neighbour}?wait=true").body["result"] == {
            "outcome": "success",
            "result": "done",
        }
        after = server("POST", "/runs", {"flow": one("echo"), "input": ["next"], "wait": True})
        assert after.body["result"] == {"outcome": "success", "result": "next"}


def test_a_step_that_takes_too_long_stops_and_the_worker_goes_on(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    with serving(stepflow, "--worker", "components.py") as server:
        bell = Bell(stepflow.folder / "busy.bell")
        flow = one("busy", timeout="500ms")
        run = server("POST", "/runs", {"flow": flow, "input": ["busy.bell"], "wait": True}).body
        assert run["result"]["error"]["kind"] == "TIMEOUT"
        assert bell.wait() == "begun\n"
        bell.wait_for_the_end()
        bell.close()
        after = server("POST", "/runs", {"flow": one("echo"), "input": ["next"], "wait": True})
        assert after.body["result"] == {"outcome": "success", "result": "next"}
