"""The lifespan: it is entered before a worker serves, and left after the last execute."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start

HEAD = """
import asyncio, contextlib, sys
from stepflow.worker import ServerGone, StepflowContext, StepflowServer

@contextlib.asynccontextmanager
async def lifespan(server):
    print("entered with", len(server.components), file=sys.stderr)
    yield {"model": asyncio.get_running_loop()}
    print("left", file=sys.stderr)

server = StepflowServer(lifespan=lifespan, version="1.4")

@server.component
async def uses(input: int, context: StepflowContext) -> bool:
    return context.state["model"] is asyncio.get_running_loop()

@server.component
def outlives(input: str, context: StepflowContext) -> str:
    try:
        return context.sync.get_blob(input)
    except ServerGone:
        print("finished", file=sys.stderr)
        return "done"
"""


SLOW_TO_ENTER = """
import asyncio, contextlib, os
from stepflow.worker import StepflowServer

@contextlib.asynccontextmanager
async def lifespan(server):
    try:
        os.write(2, b"entering ")
        await asyncio.Event().wait()
        yield
    finally:
        os.write(2, b"given back")

server = StepflowServer(lifespan=lifespan)
"""


def test_the_yielded_value_is_the_state_of_every_context(start: "Start") -> None:
    worker = start("", head=HEAD)
    assert worker.output("/uses", 1) is True
    worker.close_input()
    assert worker.wait() == 0
    assert worker.stderr.splitlines() == ["entered with 2", "left"]


def test_it_is_left_after_the_last_execute(start: "Start") -> None:
    worker = start("", head=HEAD)
    worker.begin_execute("/outlives", "x")
    worker.called("blobs/get")
    worker.close_input()
    assert worker.wait() == 0
    assert worker.stderr.splitlines()[-2:] == ["finished", "left"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_it_is_left_after_sigterm(start: "Start") -> None:
    worker = start("", head=HEAD)
    worker.request("components/list")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.stderr.splitlines()[-1] == "left"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("options", [(), ("--reload",)], ids=["", "--reload"])
def test_sigterm_while_it_is_entered_runs_its_finally_block(
    start: "Start", options: tuple[str, ...]
) -> None:
    worker = start("", *options, head=SLOW_TO_ENTER)
    worker.wait_for_stderr("entering")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.stderr == "entering given back"


SLOW_TO_LEAVE = """
import asyncio, contextlib, os, time
from stepflow.worker import StepflowServer

@contextlib.asynccontextmanager
async def lifespan(server):
    os.write(2, b"entering ")
    while not os.path.exists("entered"):
        time.sleep(0.01)
    yield
    os.write(2, b"leaving ")
    while not os.path.exists("left"):
        await asyncio.sleep(0.01)
    os.write(2, b"given back")

server = StepflowServer(lifespan=lifespan)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("options", [(), ("--reload",)], ids=["", "--reload"])
@pytest.mark.parametrize("signalled_while", ["entering", "leaving"])
def test_sigterm_does_not_cancel_the_exit_of_the_lifespan(
    start: "Start", tmp_path: Path, options: tuple[str, ...], signalled_while: str
) -> None:
    worker = start("", *options, head=SLOW_TO_LEAVE)
    worker.wait_for_stderr("entering")
    if signalled_while == "entering":
        worker.process.terminate()
        (tmp_path / "entered").touch()
        worker.wait_for_stderr("leaving")
    else:
        (tmp_path / "entered").touch()
        worker.request("components/list")
        worker.close_input()
        worker.wait_for_stderr("leaving")
        worker.process.terminate()
    (tmp_path / "left").touch()
    assert worker.wait() == 0
    assert worker.stderr == "entering leaving given back"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("blocks_while", ["entering", "leaving"])
def test_a_lifespan_that_blocks_is_abandoned_when_the_time_is_over(
    start: "Start", tmp_path: Path, blocks_while: str
) -> None:
    head = SLOW_TO_LEAVE.replace("await asyncio.sleep", "time.sleep")
    worker = start("", "--drain-timeout", "0.1", head=head)
    worker.wait_for_stderr("entering")
    if blocks_while == "leaving":
        (tmp_path / "entered").touch()
    worker.process.terminate()
    assert worker.wait() == 0
    assert worker.stderr.endswith("ended before the lifespan was left\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_a_second_sigterm_ends_a_worker_whose_lifespan_blocks(start: "Start") -> None:
    head = SLOW_TO_ENTER.replace("await asyncio.Event().wait()", "import time; time.sleep(600)")
    worker = start("", head=head)
    worker.wait_for_stderr("entering")
    worker.signal_until_it_ends(signal.SIGTERM)
    assert worker.wait() == -signal.SIGTERM


def test_the_servers_version_is_announced(start: "Start") -> None:
    hello = start("", head=HEAD).request("initialize", {"runtime_protocol_version": 1})
    assert hello["result"]["capabilities"]["version"] == "1.4"


def test_without_a_lifespan_the_state_is_none(start: "Start") -> None:
    worker = start("@server.component\ndef f(input, context): return context.state is None")
    assert worker.output("/f") is True


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_lifespan_that_fails_ends_the_worker_with_its_traceback(
    start: "Start", place: str
) -> None:
    worker = start(
        "",
        head=HEAD.replace(
            'print("entered', f'"{place}" == "before" and 1 / 0; print("entered'
        ).replace('print("left"', f'"{place}" == "after" and 1 / 0; print("left"'),
    )
    worker.close_input()
    assert worker.wait() == 1
    assert "ZeroDivisionError" in worker.stderr
    assert worker.stderr.count('File "') == 1 and "in lifespan" in worker.stderr


@pytest.mark.parametrize(
    ("marked", "kind"),
    [("", "async_generator"), ("@contextlib.contextmanager", "_GeneratorContextManager")],
)
def test_a_lifespan_that_cannot_be_entered_is_explained(
    start: "Start", marked: str, kind: str
) -> None:
    worker = start("", head=HEAD.replace("@contextlib.asynccontextmanager", marked))
    worker.close_input()
    assert worker.wait() == 1
    assert f"the lifespan returned a `{kind}`" in worker.stderr
    assert "`@asynccontextmanager`" in worker.stderr and "Traceback" not in worker.stderr


def test_an_included_server_must_not_have_a_lifespan(start: "Start") -> None:
    worker = start("StepflowServer().include(server)", head=HEAD)
    worker.close_input()
    assert worker.wait() == 1
    assert "the included server has a lifespan" in worker.stderr
