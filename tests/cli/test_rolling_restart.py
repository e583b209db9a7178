"""HTTP workers are restarted one after the other, and no step fails."""

import json
import time
from collections import Counter
from contextlib import ExitStack

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP
from tests.cli.serving import Server, serving
from tests.cli.workers import http_worker

STEPS = 1000

COMPONENTS = """\
import asyncio

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


@server.component
async def work(input: int, context: StepflowContext) -> int:
    with open("seen", "a") as seen:
        print(context.task_id, file=seen)
    await asyncio.sleep(0.5)
    return input
"""


def config(urls: list[str]) -> dict[str, object]:
    """Return a configuration with workers at these addresses, and all steps at once."""
    return {
        "plugins": {"python": {"type": "stepflow", "url": urls}},
        "routes": {"/python/{*component}": [{"plugin": "python"}]},
        "defaults": {"maxConcurrency": STEPS},
    }


def done(server: Server, run: str) -> int:
    """Wait a moment, and return how many items have ended."""
    completed: int = server("GET", f"/runs/{run}?wait=true&timeoutSecs=1").body["items"][
        "completed"
    ]
    return completed


def test_no_step_fails_or_runs_twice(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    with ExitStack() as ends:
        begin = ends.enter_context
        three = [http_worker(stepflow.folder, "--max-concurrency", "40") for _ in range(3)]
        workers = [begin(worker) for worker in three]
        stepflow.write(config_yml=json.dumps(config([worker.url for worker in workers])))
        server = begin(serving(stepflow, "--config", "config.yml"))
        run = server("POST", "/runs", {"flow": ONE_STEP, "input": list(range(STEPS))}).body["runId"]
        for number, worker in enumerate(workers, 1):
            deadline = time.monotonic() + 60
            while done(server, run) < number * STEPS // 5:
                assert time.monotonic() < deadline, "no more steps are done"
            assert worker.end() == 0
            worker.start()
        ended = server("GET", f"/runs/{run}?wait=true").body
    assert ended["items"]["completed"] == STEPS, ended["items"]
    tasks = (stepflow.folder / "seen").read_text().split()
    assert Counter(Counter(tasks).values()) == {1: STEPS}
