"""Servers that are killed again and again: only a step that a worker had each time is given up."""

from typing import Any

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP
from tests.cli.serving import Server, begin, killed, serving, until_ready
from tests.cli.test_durable import finished, seen, until_seen

CONFIG = """\
plugins: {python: {type: stepflow, command: stepflow-worker, args: [components.py, --max-concurrency, "1"]}}
routes: {"/python/{*component}": [{plugin: python}]}
server: {stopGrace: 0s}
"""

# A worker that is not up yet has read its file to here.
COMPONENTS = """\
import os
import signal
import time

from stepflow.worker import StepflowServer

server = StepflowServer()


def note(word: str) -> None:
    with open("seen", "a") as seen:
        seen.write(word + "\\n")


while os.path.exists("wait"):
    time.sleep(0.01)


@server.component
def work(input: str) -> str:
    note(input)
    while input != "well" and not os.path.exists("go"):
        time.sleep(0.01)
    if input == "bad":
        os.kill(os.getppid(), signal.SIGKILL)
    return input
"""


def submit(server: Server, *items: str) -> str:
    run: str = server("POST", "/runs", {"flow": ONE_STEP, "input": list(items)}).body["runId"]
    return run


def outcomes(server: Server, run: str) -> list[Any]:
    """Return the result of each item, or the kind of its error."""
    items = server("GET", f"/runs/{run}/items").body["items"]
    results = [item["result"] for item in items]
    return [one["result"] if "result" in one else one["error"]["kind"] for one in results]


def survives(stepflow: Stepflow, run: str) -> bool:
    """Start a server; return whether it lives until the run has ended."""
    server = begin(stepflow)
    try:
        finished(server, run)
    except OSError:
        server.process.wait(timeout=60)
        return False
    else:
        return True
    finally:
        server.process.terminate()
        stepflow.end(server.process)


def test_steps_that_no_worker_had_outlive_any_number_of_kills(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": COMPONENTS, "stepflow-config_yml": CONFIG})
    with killed(stepflow) as server:
        run = submit(server, "held", "well")
        until_seen(stepflow.folder, "held")
    (stepflow.folder / "wait").touch()
    (stepflow.folder / "go").touch()
    for _ in range(5):
        with killed(stepflow) as server:
            until_ready(server)
            assert server("GET", f"/runs/{run}").body["status"] == "running"
    (stepflow.folder / "wait").unlink()
    with serving(stepflow) as server:
        assert finished(server, run)["status"] == "completed"
        assert outcomes(server, run) == ["held", "well"]
    assert seen(stepflow.folder) == ["held", "held", "well"]


def test_only_the_step_that_kills_its_server_is_given_up(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": COMPONENTS, "stepflow-config_yml": CONFIG})
    with killed(stepflow) as server:
        run = submit(server, "bad", "well")
        until_seen(stepflow.folder, "bad")
    (stepflow.folder / "go").touch()
    deaths = 0
    while not survives(stepflow, run):
        deaths += 1
        assert deaths <= 3, "the step is not given up"
    with serving(stepflow) as server:
        assert outcomes(server, run) == ["ORCHESTRATOR_ERROR", "well"]
    # The first kill counts too if the worker had the step for a second by then.
    assert deaths >= 2
    assert seen(stepflow.folder) == ["bad"] * (deaths + 1) + ["well"]
