"""Children that a component forks do not act as the worker: their signals and their end do not concern it."""

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")

SOURCE = """
import multiprocessing, signal, warnings
warnings.simplefilter("ignore")  # of forking beside threads

def wait(pipe):
    pipe.send("here")
    signal.pause()

def child(how):
    context = multiprocessing.get_context(how)
    ours, theirs = context.Pipe()
    process = context.Process(target=wait, args=(theirs,))
    process.start()
    ours.recv()
    return process

@server.component
def terminated(input):
    process = child(input)
    process.terminate()
    process.join(20)
    return [os.getpid(), process.exitcode]

@server.component
def terminated_at_once(input):
    process = multiprocessing.get_context("fork").Process(target=signal.pause)
    process.start()
    process.terminate()
    process.join(20)
    return process.exitcode

@server.component
def pooled(input):
    with multiprocessing.get_context(input).Pool(2) as pool:  # leaving it terminates the children
        return [os.getpid(), pool.map(abs, [-1, -2])]

@server.component
def orphaned(input):
    return child("fork").pid
"""
METHODS = ["fork", "spawn", "forkserver"] if sys.platform == "linux" else ["spawn"]


@pytest.mark.parametrize("how", METHODS)
def test_a_signal_to_a_child_ends_the_child_and_not_the_worker(start: "Start", how: str) -> None:
    worker = start(SOURCE)
    pid = worker.process.pid
    for _ in range(3):
        assert worker.execute("/terminated", how)["result"]["output"] == [pid, -15]
        assert worker.execute("/pooled", how)["result"]["output"] == [pid, [1, 2]]
    assert worker.process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_signal_while_a_child_is_being_forked_does_not_end_the_worker(start: "Start") -> None:
    worker = start(SOURCE)
    for _ in range(100):
        assert worker.output("/terminated_at_once") == -15
    assert worker.process.poll() is None


def test_a_child_keeps_no_pipe_of_the_worker_open(start: "Start") -> None:
    worker = start(SOURCE)
    child = worker.execute("/orphaned")["result"]["output"]
    try:
        open_there = {os.readlink(f"/proc/{child}/fd/{n}") for n in os.listdir(f"/proc/{child}/fd")}
        pipes = {os.readlink(f"/proc/{worker.process.pid}/fd/{n}") for n in (3, 4)}
        assert not pipes & open_there
    finally:
        os.kill(child, 9)
