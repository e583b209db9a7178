"""Components that use process pools: the worker stays the same process, and every batch succeeds."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.serving import Server, serving
from tests.cli.workers import http_worker

BATCHES = int(os.environ.get("STEPFLOW_TEST_POOL_BATCHES", "4"))
"""How many batches a check runs. For rare failures run 40, which takes longer."""

WORKER = """\
import multiprocessing, os, warnings
from stepflow.worker import StepflowServer

warnings.simplefilter("ignore")  # of forking beside threads
server = StepflowServer()


@server.component
def pooled(input: str) -> list[int]:
    with multiprocessing.get_context(input).Pool(2) as pool:
        return [os.getpid(), *pool.map(abs, [-1, -2, -3])]
"""

FLOW = {
    "steps": [{"id": "pooled", "component": "/python/pooled", "input": {"$input": "$"}}],
    "output": {"$step": "pooled"},
}

CONFIG = """\
plugins: {python: {type: stepflow, %s}}
routes: {"/python/{*component}": [{plugin: python}]}
"""

BY_COMMAND = "command: stepflow-worker, args: [components.py]"
METHODS = ["fork", "spawn", "forkserver"] if sys.platform == "linux" else ["spawn"]


@contextmanager
def server(stepflow: Stepflow, how: str) -> Iterator[Server]:
    """Run a server with one worker, which it starts, or which runs already."""
    stepflow.write(components_py=WORKER)
    if how == "command":
        stepflow.write(**{"stepflow-config_yml": CONFIG % BY_COMMAND})
        with serving(stepflow) as server:
            yield server
    else:
        with http_worker(stepflow.folder) as worker:
            stepflow.write(**{"stepflow-config_yml": CONFIG % f"url: '{worker.url}'"})
            with serving(stepflow) as server:
                yield server


@pytest.mark.parametrize("how", ["command", "url"])
def test_batches_with_process_pools_leave_the_worker_as_it_is(stepflow: Stepflow, how: str) -> None:
    with server(stepflow, how) as call:
        pids = set()
        for batch in range(BATCHES):
            body = {"flow": FLOW, "input": METHODS * 2, "wait": True}
            run = call("POST", "/runs", body).body
            assert run["status"] == "completed", (batch, run)
            for item in run["results"]:
                pid, *rest = item["result"]["result"]
                pids.add(pid)
                assert rest == [1, 2, 3]
        assert len(pids) == 1
