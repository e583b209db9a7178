"""A child that a component forks ends where the component ends, over both transports, and does not disturb the worker."""

import os
import sys
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker
    from over_http.conftest import HttpWorker, Serve

    AnyWorker: TypeAlias = Worker | HttpWorker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks beside threads")

SOURCE = """
import warnings
warnings.simplefilter("ignore")  # of forking beside threads

@server.component
async def echo(input):
    return input

def end(how):
    if how == "raise":
        raise ValueError("said in the child")
    if how == "exit":
        sys.exit(3)
    if how == "exit in order":
        sys.exit()
    print("said in the child")

def code(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

@server.component
async def forks(input):
    others = asyncio.create_task(other(os.getpid()))
    later = asyncio.get_running_loop().create_future()
    if pid := os.fork():
        asyncio.get_running_loop().call_later(0.01, later.set_result, None)
        await later
        return [await asyncio.to_thread(code, pid), await others]
    if input == "wait":
        print("said in the child")
        await later
        print("went on")
    return end(input)

async def other(pid):
    if os.getpid() != pid:
        print("went on")
    return "other"

@server.component
def forks_in_a_thread(input):
    if pid := os.fork():
        return [code(pid), "other"]
    return end(input)

@server.component(inline=True)
def forks_inline(input):
    return forks_in_a_thread(input)
"""
CODES = {"return": 0, "raise": 1, "exit": 3, "exit in order": 0}


@pytest.fixture(params=["stdio", "http", "stdio on uvloop", "http on uvloop"])
def worker(
    request: pytest.FixtureRequest, start: "Start", serve: "Serve", monkeypatch: pytest.MonkeyPatch
) -> "AnyWorker":
    """A worker that runs one execute at a time."""
    if request.param.endswith("uvloop"):
        pytest.importorskip("uvloop")
        monkeypatch.delenv("STEPFLOW_WORKER_UVLOOP")
    begin = start if request.param.startswith("stdio") else serve
    return begin(SOURCE, "--max-concurrency", "1")


@pytest.mark.parametrize("component", ["/forks", "/forks_in_a_thread", "/forks_inline"])
def test_a_forked_child_ends_where_its_component_does(worker: "AnyWorker", component: str) -> None:
    for how, code in CODES.items():
        assert worker.output(component, how) == [code, "other"]
        assert worker.output("/echo", how) == how
    assert worker.stderr.count("said in the child") >= 2
    assert "went on" not in worker.stderr
    assert _children(worker.process.pid) == []
    worker.process.terminate()
    assert worker.wait() == 0


def test_a_forked_child_does_not_go_on_in_the_event_loop(
    worker: "AnyWorker", request: pytest.FixtureRequest
) -> None:
    for _ in range(3):
        assert worker.output("/forks", "wait") == [1, "other"]
        assert worker.output("/echo", 1) == 1
    assert "a forked child cannot await" in worker.stderr
    if "uvloop" not in request.node.name:  # it cannot put a callback before those that are ready
        assert "went on" not in worker.stderr


def _children(pid: int) -> list[str]:
    tasks = f"/proc/{pid}/task"
    found = []
    for each in os.listdir(tasks):
        with open(f"{tasks}/{each}/children", encoding="ascii") as children:
            found += children.read().split()
    return found
