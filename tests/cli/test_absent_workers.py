"""Workers whose server comes and goes: runs wait for them, and they do not go on without it."""

import time
from typing import Any

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP
from tests.cli.serving import Server, killed, serving
from tests.cli.test_durable import COMPONENTS, FLOW, finished, seen, until_seen
from tests.cli.workers import http_worker

AT_URL = """\
plugins: {{python: {{type: stepflow, url: "{url}"}}}}
routes: {{"/python/{{*component}}": [{{plugin: python}}]}}
"""

STARTED = """\
plugins: {python: {type: stepflow, command: stepflow-worker, args: [components.py]}}
routes: {"/python/{*component}": [{plugin: python}]}
"""


def submit(server: Server) -> str:
    run: str = server("POST", "/runs", {"flow": FLOW, "input": [{"n": 1}]}).body["runId"]
    return run


def until_degraded(server: Server, reason: str) -> None:
    """Wait until `/ready` names a plugin with this reason."""
    deadline = time.monotonic() + 60
    while True:
        degraded: list[dict[str, Any]] = server("GET", "/ready").body["degraded"]
        if any(reason in plugin["reason"] for plugin in degraded):
            return
        assert time.monotonic() < deadline, degraded
        time.sleep(0.05)


def test_runs_wait_for_a_worker_at_an_address_that_is_not_up_yet(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    with http_worker(stepflow.folder) as worker:
        stepflow.write(**{"stepflow-config_yml": AT_URL.format(url=worker.url)})
        with killed(stepflow) as server:
            before = submit(server)
            until_seen(stepflow.folder, "held")
        (stepflow.folder / "go").touch()
        worker.end()
        with serving(stepflow) as server:
            until_degraded(server, "is not reached")
            after = submit(server)
            assert [server("GET", f"/runs/{run}").body["status"] for run in (before, after)] == [
                "running",
                "running",
            ]
            worker.start()
            for run in (before, after):
                assert finished(server, run)["status"] == "completed"


def test_a_run_waits_for_a_process_that_cannot_start_after_a_crash(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": COMPONENTS, "stepflow-config_yml": STARTED})
    with killed(stepflow) as server:
        before = submit(server)
        until_seen(stepflow.folder, "held")
    (stepflow.folder / "go").touch()
    (stepflow.folder / "components.py").rename(stepflow.folder / "elsewhere.py")
    with serving(stepflow) as server:
        assert finished(server, submit(server))["status"] == "failed"
        until_degraded(server, "ended before it answered")
        assert server("GET", f"/runs/{before}").body["status"] == "running"
        (stepflow.folder / "elsewhere.py").rename(stepflow.folder / "components.py")
        assert finished(server, before)["status"] == "completed"


ENDLESS = """\
import asyncio

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


def note(word: str) -> None:
    with open("seen", "a") as seen:
        seen.write(word + "\\n")


@server.component
async def work(input: dict, context: StepflowContext) -> dict:
    note(f"begun-{context.attempt}")
    try:
        await asyncio.sleep(3600 if context.attempt == 1 else 0)
    except asyncio.CancelledError:
        note(f"cancelled-{context.attempt}")
        raise
    return input
"""


def test_a_stopped_server_ends_its_attempts_at_an_address(stepflow: Stepflow) -> None:
    stepflow.write(components_py=ENDLESS)
    with http_worker(stepflow.folder) as worker:
        config = AT_URL.format(url=worker.url) + "server: {stopGrace: 0s}\n"
        stepflow.write(**{"stepflow-config_yml": config})
        with serving(stepflow) as server:
            run = server("POST", "/runs", {"flow": ONE_STEP, "input": [{"n": 1}]}).body["runId"]
            until_seen(stepflow.folder, "begun-1")
        until_seen(stepflow.folder, "cancelled-1")
        with serving(stepflow) as server:
            assert finished(server, run)["status"] == "completed"
    assert seen(stepflow.folder) == ["begun-1", "cancelled-1", "begun-2"]
