"""Seven of a thousand items crash their worker, in different ways. The others succeed, and each second attempt is reported.

`STEPFLOW_POISON_SEED` repeats the places of the seven, `STEPFLOW_POISON=all` tries every kind of workers."""

import json
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP
from tests.cli.workers import RestartedWorker

ITEMS = 1000
SEED = int(os.environ.get("STEPFLOW_POISON_SEED") or random.randrange(10**9))
EVERY_WAY = os.environ.get("STEPFLOW_POISON") == "all"
ONLY_WITH_ALL = pytest.mark.skipif(not EVERY_WAY, reason="takes long: STEPFLOW_POISON=all runs it")

# When there is no more memory, C code that does not check for it crashes.
COMPONENTS = """\
import ctypes
import os
import resource

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()
TERABYTE = 1 << 40


@server.component
def work(input: str, context: StepflowContext) -> str:
    with open("seen", "a") as seen:
        seen.write(f"{context.task_id} {context.attempt} {input}\\n")
    if input == "exit":
        os._exit(3)
    if input == "abort":
        os.abort()
    if input == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (TERABYTE, TERABYTE))
        malloc = ctypes.CDLL(None).malloc
        malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
        ctypes.memset(malloc(2 * TERABYTE), 1, 1)
    return input
"""

POISON = ["exit", "abort", "memory"]
OPTIONS = ("--max-concurrency", "4")


def by_command(instances: int) -> dict[str, object]:
    """Processes that the server starts."""
    arguments = ["components.py", *OPTIONS]
    return {"command": "stepflow-worker", "args": arguments, "instances": instances}


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """The processes that end with the test."""
    with ExitStack() as stack:
        yield stack


def by_url(stepflow: Stepflow, instances: int, ends: ExitStack) -> dict[str, object]:
    """Worker processes that the test starts, and restarts after a crash."""
    workers = [RestartedWorker(stepflow.folder, *OPTIONS) for _ in range(instances)]
    for worker in workers:
        ends.callback(worker.end)
    return {"url": [worker.url for worker in workers]}


@pytest.mark.parametrize(
    ("how", "instances", "poison"),
    [
        ("command", 4, 7),
        # A worker over HTTP takes longer to start.
        ("url", 1, 2),
        pytest.param("command", 1, 7, marks=ONLY_WITH_ALL),
        pytest.param("url", 1, 7, marks=ONLY_WITH_ALL),
        pytest.param("url", 4, 7, marks=ONLY_WITH_ALL),
    ],
)
def test_exactly_the_crashing_items_fail(
    stepflow: Stepflow, ends: ExitStack, how: str, instances: int, poison: int
) -> None:
    chance = random.Random(SEED)
    ways = [POISON[number % len(POISON)] for number in range(poison)]
    places = dict(zip(chance.sample(range(ITEMS), poison), ways, strict=True))
    inputs = [places.get(item, "well") for item in range(ITEMS)]
    stepflow.write(
        components_py=COMPONENTS,
        flow_yaml=ONE_STEP,
        inputs_jsonl="".join(f"{json.dumps(it)}\n" for it in inputs),
    )
    where = by_command(instances) if how == "command" else by_url(stepflow, instances, ends)
    config = {
        "plugins": {"python": {"type": "stepflow", **where}},
        "routes": {"/python/{*component}": [{"plugin": "python"}]},
        "retry": {"transportMaxRetries": 0},
    }
    stepflow.write(config_yml=json.dumps(config))
    arguments = ("--inputs", "inputs.jsonl", "--max-concurrency", "64")
    ended = stepflow("run", "flow.yaml", "--config", "config.yml", *arguments, timeout=600)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(lines) == ITEMS, ended.stderr
    failed = {line["itemIndex"]: line for line in lines if line["outcome"] != "success"}
    assert set(failed) == set(places), f"STEPFLOW_POISON_SEED={SEED}: {failed}"
    assert {line["error"]["kind"] for line in failed.values()} == {"UNREACHABLE"}
    seen = (stepflow.folder / "seen").read_text().splitlines()
    assert len(set(seen)) == len(seen), "an execution had the attempt of another one"
    assert len({line.split()[0] for line in seen}) == ITEMS
