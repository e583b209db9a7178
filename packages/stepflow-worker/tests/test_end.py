"""The end of a worker whose event loop is blocked: it must not need the loop."""

import signal
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")

SOURCE = """
import ctypes

def locks():
    # No signal interrupts this call, so that Python's own handlers wait for it.
    mutex = ctypes.create_string_buffer(128)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)

def sleeps():
    while True:
        time.sleep(0.01)

@server.component
async def blocks(input):
    os.write(2, b"blocked ")
    globals()[input]()
"""
BLOCKS = ["sleeps", "locks"]


def blocked(start: "Start", how: str, *options: str, more: str = "") -> "Worker":
    worker = start(SOURCE + more, *options)
    worker.begin_execute("/blocks", how)
    worker.wait_for_stderr("blocked ")
    return worker


@pytest.mark.parametrize("how", BLOCKS)
@pytest.mark.parametrize("asked", ["the end of the input", "SIGTERM"])
def test_a_worker_with_a_blocked_loop_ends_in_time_and_names_the_component(
    start: "Start", how: str, asked: str
) -> None:
    worker = blocked(start, how, "--drain-timeout", "0.1")
    worker.process.terminate() if asked == "SIGTERM" else worker.close_input()
    assert worker.wait() == 0
    assert "ended with open executes of /blocks" in worker.stderr


@pytest.mark.parametrize("how", BLOCKS)
def test_a_second_sigterm_ends_a_blocked_worker_at_once(start: "Start", how: str) -> None:
    worker = blocked(start, how, "--drain-timeout", "600")
    worker.signal_until_it_ends(signal.SIGTERM)
    assert worker.wait() == -signal.SIGTERM


def test_a_blocked_worker_takes_no_work_after_a_signal(start: "Start") -> None:
    more = "\n@server.component\ndef echo(input): return input\n"
    worker = blocked(start, "locks", "--drain-timeout", "600", more=more)
    worker.process.terminate()
    # The signal arrives a moment later.
    worker.wait_until(lambda: "error" in worker.execute("/echo"), "an execute is refused")
    assert worker.execute("/echo")["error"]["code"] == -32000


LEAVES = """
@server.component
def a_thread(input):
    threading.Thread(target=time.sleep, args=(600,), daemon=False).start()

@server.component
async def a_call_in_a_thread(input):
    global task
    task = asyncio.ensure_future(asyncio.to_thread(time.sleep, 600))
"""


@pytest.mark.parametrize("left", ["/a_thread", "/a_call_in_a_thread"])
def test_a_thread_that_a_component_has_left_behind_does_not_delay_the_end(
    start: "Start", left: str
) -> None:
    worker = start(LEAVES)
    assert worker.output(left) is None
    worker.close_input()
    assert worker.wait() == 0
    assert "ended with threads that components have left behind" in worker.stderr
