"""HTTP workers are restarted one after the other, and no step notices."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP
from tests.cli.serving import Server, serving

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


class Worker:
    """A worker in a process of its own, as somebody else would run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.start()

    def start(self) -> None:
        """Starts it, on the port that it had before."""
        command = [sys.executable, "-m", "stepflow.worker", "components.py", "--http"]
        arguments = ["--port", str(self.port), "--max-concurrency", "40"]
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=self.folder, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["port"]

    def end(self) -> None:
        """Asks it to end, as a rollout does, and waits until it has."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


def done(server: Server, run: str) -> int:
    """How many items have ended, a moment from now."""
    completed: int = server("GET", f"/runs/{run}?wait=true&timeoutSecs=1").body["items"][
        "completed"
    ]
    return completed


def test_no_step_fails_and_none_runs_twice(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    workers = [Worker(stepflow.folder) for _ in range(3)]
    urls = [f"http://127.0.0.1:{worker.port}" for worker in workers]
    config = {
        "plugins": {"python": {"type": "stepflow", "url": urls}},
        "routes": {"/python/{*component}": [{"plugin": "python"}]},
        "defaults": {"maxConcurrency": STEPS},
    }
    stepflow.write(config_yml=json.dumps(config))
    with serving(stepflow, "--config", "config.yml") as server:
        run = server("POST", "/runs", {"flow": ONE_STEP, "input": list(range(STEPS))}).body["runId"]
        for number, worker in enumerate(workers, 1):
            while done(server, run) < number * STEPS // 5:
                pass
            worker.end()
            worker.start()
        ended = server("GET", f"/runs/{run}?wait=true").body
    for worker in workers:
        worker.end()
    assert ended["items"]["completed"] == STEPS, ended["items"]
    tasks = (stepflow.folder / "seen").read_text().split()
    assert Counter(Counter(tasks).values()) == {1: STEPS}
