"""The end of a worker over HTTP when one of its two event loops is blocked."""

import signal
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from over_http.conftest import HttpWorker, Serve

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")

SOURCE = """
@server.component(inline=True)
KIND blocks(input, context):
    os.write(2, b"blocked ")
    while True:
        time.sleep(0.01)
"""
EACH_LOOP = pytest.mark.parametrize(
    "kind", ["def", "async def"], ids=["transport's", "components'"]
)


def blocked(serve: "Serve", kind: str, drain_timeout: str) -> "HttpWorker":
    worker = serve(SOURCE.replace("KIND", kind), "--drain-timeout", drain_timeout)
    worker.begin_unread("/blocks")
    worker.wait_for_stderr("blocked")
    return worker


@EACH_LOOP
def test_a_worker_with_a_blocked_loop_ends_in_time_and_names_the_component(
    serve: "Serve", kind: str
) -> None:
    worker = blocked(serve, kind, "0.1")
    worker.process.terminate()
    assert worker.wait() == 0
    assert "ended with open executes of /blocks" in worker.stderr


@EACH_LOOP
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_blocked_worker_at_once(
    serve: "Serve", kind: str, number: int
) -> None:
    worker = blocked(serve, kind, "600")

    def has_ended() -> bool:
        worker.process.send_signal(number)
        return worker.process.poll() is not None

    worker.wait_until(has_ended, "the worker has ended")
    assert worker.wait() == -number
