"""More work than workers can run: the rest waits in the server, and nothing runs twice."""

import json
import time
from collections import Counter

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN, ONE_STEP
from tests.cli.serving import serving

TWO_OF_CAPACITY_ONE = """\
plugins:
  builtin: {type: builtin}
  python: {type: stepflow, command: stepflow-worker, args: [components.py], instances: 2, maxConcurrency: 1}
routes:
  "/python/{*component}": [{plugin: python}]
  "/builtin/{*component}": [{plugin: builtin}]
"""

BUSY = """\
import os
import time

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


@server.component
def work(input: int, context: StepflowContext) -> int:
    with open("seen", "a") as seen:
        print(context.task_id, os.getpid(), file=seen)
    end = time.perf_counter() + 0.1
    while time.perf_counter() < end:
        pass
    return input
"""


def test_two_workers_of_capacity_one_do_a_hundred_steps_once_each_and_a_neighbour_is_not_held_up(
    stepflow: Stepflow,
) -> None:
    stepflow.write(components_py=BUSY, config_yml=TWO_OF_CAPACITY_ONE)
    with serving(stepflow, "--config", "config.yml") as server:
        batch = server("POST", "/runs", {"flow": ONE_STEP, "input": list(range(100))}).body["runId"]
        neighbours = 0
        deadline = time.monotonic() + 120
        while server("GET", f"/runs/{batch}").body["status"] == "running":
            assert time.monotonic() < deadline, "the batch does not end"
            run = server("POST", "/runs", {"flow": BUILTIN, "input": [{}], "wait": True}).body
            assert run["status"] == "completed", run
            neighbours += 1
        ended = server("GET", f"/runs/{batch}/items").body["items"]
    assert [item["result"] for item in ended] == [
        {"outcome": "success", "result": n} for n in range(100)
    ]
    tasks, pids = zip(
        *(line.split() for line in (stepflow.folder / "seen").read_text().splitlines()), strict=True
    )
    assert Counter(Counter(tasks).values()) == {1: 100}
    assert len(set(pids)) == 2
    assert neighbours > 1


NESTED = """\
from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()
FLOW = {
    "steps": [{"id": "below", "component": "/python/work", "input": {"$input": "$"}}],
    "output": {"$step": "below"},
}


@server.component
async def work(input: int, context: StepflowContext) -> int:
    return 1 + await context.evaluate_flow(FLOW, input - 1) if input else 0
"""


def test_a_component_may_run_flows_on_its_own_worker_of_capacity_one(stepflow: Stepflow) -> None:
    config = TWO_OF_CAPACITY_ONE.replace("instances: 2", "instances: 1")
    stepflow.write(components_py=NESTED, config_yml=config, flow_yaml=ONE_STEP)
    ended = stepflow(
        "run", "flow.yaml", "--config", "config.yml", "--max-concurrency", "1", "--input-json", "3"
    )
    assert json.loads(ended.stdout) == {"outcome": "success", "result": 3}, ended.stderr
