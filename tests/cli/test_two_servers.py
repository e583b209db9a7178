"""Two independent servers share a worker over HTTP."""

import json
from collections import Counter
from contextlib import ExitStack

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP
from tests.cli.serving import serving
from tests.cli.workers import http_worker

CAPACITY = 4
ITEMS = 40

COMPONENTS = """\
import threading
import time

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()
lock = threading.Lock()
running = 0


@server.component
def work(input: str, context: StepflowContext) -> str:
    global running
    with lock:
        running += 1
        with open("seen", "a") as seen:
            seen.write(f"{input} {running} {context.task_id} {context.attempt}\\n")
    time.sleep(0.05)
    with lock:
        running -= 1
    return input
"""


def test_two_servers_share_a_worker_within_its_capacity(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS)
    with ExitStack() as ends:
        options = ("--max-concurrency", str(CAPACITY))
        worker = ends.enter_context(http_worker(stepflow.folder, *options))
        config = {
            "plugins": {"python": {"type": "stepflow", "url": worker.url}},
            "routes": {"/python/{*component}": [{"plugin": "python"}]},
        }
        stepflow.write(config_yml=json.dumps(config))
        # Each server finds its own processes.
        stepflows = {"one": stepflow, "other": Stepflow(stepflow.command, stepflow.folder)}
        servers = {
            name: ends.enter_context(serving(each, "--memory", "--config", "config.yml"))
            for name, each in stepflows.items()
        }
        runs = {
            name: server("POST", "/runs", {"flow": ONE_STEP, "input": [name] * ITEMS}).body["runId"]
            for name, server in servers.items()
        }
        for name, server in servers.items():
            run = server("GET", f"/runs/{runs[name]}?wait=true&timeoutSecs=60").body
            assert run["items"]["completed"] == ITEMS, run
    seen = [line.split() for line in (stepflow.folder / "seen").read_text().splitlines()]
    assert max(int(running) for _, running, _, _ in seen) <= CAPACITY
    assert Counter(attempt for *_, attempt in seen) == {"1": 2 * ITEMS}, "none was tried twice"
    assert len({task for _, _, task, _ in seen}) == 2 * ITEMS
    # The servers take turns: neither waits until the other has no more work.
    first = {name: [it[0] for it in seen].index(name) for name in servers}
    last = {name: len(seen) - 1 - [it[0] for it in seen][::-1].index(name) for name in servers}
    assert first["one"] < last["other"] and first["other"] < last["one"]
