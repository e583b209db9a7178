"""Over HTTP too, a child that a component forks does not act as the worker, and keeps none of its connections open."""

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from over_http.conftest import Serve

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")

SOURCE = """
import multiprocessing, signal, warnings
warnings.simplefilter("ignore")  # of forking beside threads
server = StepflowServer()

def wait(pipe):
    pipe.send([each for each in links() if each.startswith("socket:")])
    signal.pause()

def links():
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass

@server.component
def terminated(input):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=wait, args=(theirs,))
    process.start()
    has = ours.recv()
    process.terminate()
    process.join(20)
    return {"code": process.exitcode, "has": has, "worker": list(links())}
"""


def test_a_signal_to_a_child_ends_the_child_and_not_the_worker(serve: "Serve") -> None:
    worker = serve(SOURCE)
    for _ in range(3):
        assert worker.output("/terminated")["code"] == -15
    assert worker.get("/health").json["status"] == "healthy"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a_child_has_no_socket_that_leads_to_the_worker(serve: "Serve") -> None:
    told = serve(SOURCE).output("/terminated")
    with open("/proc/net/tcp", encoding="ascii") as table:
        tcp = {f"socket:[{row.split()[9]}]" for row in table.readlines()[1:]}
    assert tcp & set(told["worker"]), "the worker listens"
    assert not tcp & set(told["has"])
