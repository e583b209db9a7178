"""The beginning and the end of a worker: lifespan, signals, draining, open executes."""

import contextlib
import signal
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from over_http.conftest import HttpWorker, Serve

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")

SOURCE = """
@server.component
async def get(input: str, context: StepflowContext):
    return await context.get_blob(input)

@server.component
def get_sync(input: str, context: StepflowContext):
    return context.sync.get_blob(input)

@server.component
async def echo(input):
    return input
"""


def wait_for_draining(worker: "HttpWorker") -> None:
    """Wait until the signal has arrived, and the worker drains."""
    worker.wait_until(
        lambda: worker.get("/health").json["status"] == "draining", "the worker is draining"
    )


@pytest.mark.parametrize("component", ["/get", "/get_sync"])
def test_after_sigterm_open_executes_finish_and_no_new_ones_begin(
    serve: "Serve", component: str
) -> None:
    worker = serve(SOURCE)
    session, legacy = worker.session(), worker.client()
    session.initialize()
    stream = session.begin(component, "a")
    request = stream.message()
    worker.process.send_signal(signal.SIGTERM)
    wait_for_draining(worker)
    assert session.execute("/echo", 1)["error"]["code"] == -32006
    assert legacy.execute("/echo", 1)["error"]["code"] == -32000
    session.give_blob(request, "still served")
    assert stream.message()["result"] == {"output": "still served"}
    assert worker.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_of_sessions_do_not_delay_the_end(serve: "Serve", number: int) -> None:
    worker = serve(SOURCE)
    session = worker.session()
    worker.process.send_signal(number)
    assert session.events is not None
    assert session.events.block() == b"", "the stream comes to its end"
    assert worker.wait() == 0


@pytest.mark.parametrize("resume", [True, False], ids=["taken up again", "new"])
def test_a_stream_that_is_opened_while_draining_does_not_delay_the_end(
    serve: "Serve", resume: bool
) -> None:
    worker = serve(SOURCE)
    session = worker.session()
    session.initialize(resume=True)
    worker.process.terminate()
    assert session.events is not None
    assert session.events.block() == b""
    with contextlib.suppress(ConnectionError):  # it may have ended by now
        worker.resumed(session) if resume else worker.session()
    assert worker.wait() == 0
    assert worker.stderr == ""


def test_idle_connections_do_not_delay_the_end(serve: "Serve") -> None:
    worker = serve(SOURCE)
    assert worker.output("/echo", 1) == 1
    idle, half = worker.socket(), worker.socket()
    half.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\n")
    worker.process.terminate()
    assert worker.wait() == 0
    assert idle.recv(1) == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(serve: "Serve", number: int) -> None:
    worker = serve(SOURCE)
    stream = worker.begin("/get", "a")
    stream.message()
    worker.process.send_signal(signal.SIGTERM)
    wait_for_draining(worker)
    worker.process.send_signal(number)
    assert worker.wait() == -number
    assert stream.cut_off()


@pytest.mark.parametrize("call", ["time.sleep(600)", "await asyncio.sleep(600)"])
@pytest.mark.parametrize("blocking", [False, True], ids=["", "blocking the loop"])
def test_executes_that_do_not_end_in_time_are_abandoned_and_named(
    serve: "Serve", call: str, blocking: bool
) -> None:
    is_async = "async " if call.startswith("await") or blocking else ""
    worker = serve(
        f"""
        @server.component
        {is_async}def stuck(input, context):
            os.write(2, b"stuck ")
            {call}
        """,
        "--drain-timeout",
        "0.1",
    )
    stream = worker.begin("/stuck")
    worker.wait_for_stderr("stuck")
    worker.process.terminate()
    assert worker.wait() == 0
    assert "open executes of /stuck" in worker.stderr
    assert stream.cut_off(), "not an answer: the server counts it as lost"


LIFESPAN = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(server):
    os.write(2, b"entered ")
    yield {"loop": asyncio.get_running_loop()}
    os.write(2, b"left ")

server = StepflowServer(lifespan=lifespan)

@server.component
async def same_loop(input, context) -> bool:
    return context.state["loop"] is asyncio.get_running_loop()

@server.component(inline=True)
async def same_loop_inline(input, context) -> bool:
    return context.state["loop"] is asyncio.get_running_loop()

@server.component
async def get(input: str, context: StepflowContext):
    value = await context.get_blob(input)
    os.write(2, b"answered ")
    return value
"""


@pytest.mark.parametrize("component", ["/same_loop", "/same_loop_inline"])
def test_async_components_run_on_the_loop_of_the_lifespan(serve: "Serve", component: str) -> None:
    assert serve(LIFESPAN).begin(component).message()["result"] == {"output": True}


def test_the_lifespan_surrounds_all_executes(serve: "Serve") -> None:
    worker = serve(LIFESPAN)
    stream = worker.begin("/get", "a")
    request = stream.message()
    worker.process.terminate()
    wait_for_draining(worker)
    worker.give_blob(request, 1)
    assert worker.wait() == 0
    assert worker.stderr == "entered answered left "


def test_while_the_lifespan_is_entered_the_health_is_answered_and_the_rest_waits(
    serve: "Serve",
) -> None:
    worker = serve(
        """
        from contextlib import asynccontextmanager
        opened = "opened"

        @asynccontextmanager
        async def lifespan(server):
            while not os.path.exists(opened):
                time.sleep(0.01)
            yield "a model"

        server = StepflowServer(lifespan=lifespan)

        @server.component
        def state(input, context) -> str:
            return context.state
        """
    )
    connection = worker.socket()
    body = b'{"jsonrpc":"2.0","id":1,"method":"components/list","params":{}}'
    connection.sendall(
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: */*\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert worker.get("/health").status == 200
    worker.touch("opened")
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert worker.begin("/state").message()["result"] == {"output": "a model"}


@pytest.mark.parametrize("options", [(), ("--reload",)], ids=["", "--reload"])
def test_sigterm_while_the_lifespan_is_entered_runs_its_finally_block(
    serve: "Serve", options: tuple[str, ...]
) -> None:
    worker = serve(
        """
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def lifespan(server):
            try:
                os.write(2, b"entering ")
                await asyncio.Event().wait()
                yield
            finally:
                os.write(2, b"given back")

        server = StepflowServer(lifespan=lifespan)
        """,
        *options,
    )
    worker.wait_for_stderr("entering")
    worker.process.terminate()
    assert worker.wait() == 0
    assert worker.stderr == "entering given back"


def test_a_lifespan_that_fails_ends_the_worker_with_its_traceback(serve: "Serve") -> None:
    worker = serve(
        """
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def lifespan(server):
            raise RuntimeError("no model")
            yield

        server = StepflowServer(lifespan=lifespan)
        """
    )
    assert worker.wait() == 1
    assert "RuntimeError: no model" in worker.stderr
    assert worker.stderr.count('File "') == 1 and "in lifespan" in worker.stderr
    assert "graceful shutdown" not in worker.stderr
