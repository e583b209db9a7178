"""Clients and components that misbehave: the others must not be disturbed."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from over_http.conftest import HttpWorker, Serve

SOURCE = """
gate = threading.Event()

@server.component
async def echo(input):
    return input

@server.component
async def blocks_the_loop(input) -> bool:
    return gate.wait(20)

@server.component
def blocks_a_thread(input) -> bool:
    return gate.wait(20)

@server.component
def opens(input) -> None:
    gate.set()

@server.component
async def get(input: str, context: StepflowContext):
    return await context.get_blob(input)
"""

HEAD = (
    b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"accept: application/json, text/event-stream\r\n"
)


def request(body: bytes) -> bytes:
    return HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def execute(component: str, input: object) -> bytes:
    params = {"component": component, "input": input, "attempt": 1, "observability": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "components/execute", "params": params}
    return request(json.dumps(body).encode())


def everything(connection: socket.socket) -> bytes:
    """Return all bytes until the other side closes."""
    chunks = []
    try:
        while chunk := connection.recv(1 << 16):
            chunks.append(chunk)
    except ConnectionResetError:
        pass
    return b"".join(chunks)


def answer(connection: socket.socket) -> bytes:
    """Return the body of the next response, which may arrive in parts."""
    with connection.makefile("rb") as reader:
        length = 0
        while (line := reader.readline()) != b"\r\n":
            if line.startswith(b"content-length: "):
                length = int(line.split()[1])
        return reader.read(length)


@pytest.fixture(scope="module")
def worker(serve_once: "Serve") -> "HttpWorker":
    return serve_once(SOURCE)


def test_a_component_that_blocks_its_loop_stops_neither_the_transport_nor_sync_ones(
    serve: "Serve",
) -> None:
    worker = serve(SOURCE)
    blocked = [worker.socket(), worker.socket()]
    blocked[0].sendall(execute("/blocks_the_loop", 1))
    blocked[1].sendall(execute("/blocks_a_thread", 1))
    assert worker.get("/health").json["status"] == "healthy"
    assert len(worker.request("components/list")["result"]["components"]) == 5
    assert worker.output("/opens") is None
    for each in blocked:
        assert json.loads(answer(each))["result"] == {"output": True}


def test_a_blocked_loop_is_reported_with_its_component(serve: "Serve") -> None:
    worker = serve(SOURCE)
    blocked = worker.socket()
    blocked.sendall(execute("/blocks_the_loop", 1))
    worker.wait_for_stderr("`/blocks_the_loop` has blocked the event loop")
    assert worker.get("/health").status == 200
    worker.output("/opens")


@pytest.mark.parametrize("sent", [b"", b"POST / HT", HEAD])
def test_a_client_that_does_not_finish_a_head_is_disconnected_in_time(
    serve: "Serve", sent: bytes
) -> None:
    worker = serve(SOURCE, limits={"head_seconds": 0.3})
    slow = worker.socket()
    slow.sendall(sent)
    assert worker.output("/echo", 1) == 1
    assert everything(slow) == b""


def test_a_second_head_on_a_connection_must_arrive_in_time_too(serve: "Serve") -> None:
    worker = serve(SOURCE, limits={"head_seconds": 0.3})
    slow = worker.socket()
    slow.sendall(execute("/echo", 1))
    assert json.loads(answer(slow))["result"] == {"output": 1}
    slow.sendall(b"POST /")
    assert everything(slow) == b""


def test_an_execute_may_take_longer_than_a_head(serve: "Serve") -> None:
    worker = serve(SOURCE, limits={"head_seconds": 0.1})
    stream = worker.begin("/get", "a")
    gone = worker.socket()
    asked = stream.message()
    assert everything(gone) == b""  # after this time a head would be too late
    worker.give_blob(asked, "patience")
    assert stream.message()["result"] == {"output": "patience"}


def test_a_client_that_does_not_finish_a_body_gets_408(serve: "Serve") -> None:
    worker = serve(SOURCE, limits={"body_seconds": 0.3})
    slow = worker.socket()
    slow.sendall(HEAD + b'content-length: 100\r\n\r\n{"json')
    assert worker.output("/echo", 1) == 1
    said = everything(slow)
    assert said.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in said


def test_a_body_that_is_announced_as_too_long_is_413_before_it_is_read(
    worker: "HttpWorker",
) -> None:
    connection = worker.socket()
    connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % ((256 << 20) + 1))
    said = everything(connection)
    assert said.startswith(b"HTTP/1.1 413")
    assert b"blobs" in said


def test_a_body_that_becomes_too_long_is_413(serve: "Serve") -> None:
    worker = serve(SOURCE, limits={"body_bytes": 1000})
    connection = worker.socket()
    connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(11):
        connection.sendall(b"64\r\n" + b"x" * 100 + b"\r\n")
    assert everything(connection).startswith(b"HTTP/1.1 413")
    assert worker.output("/echo", "x" * 500) == "x" * 500


def test_a_client_that_sends_a_body_that_is_too_long_to_its_end_gets_the_413(
    serve: "Serve",
) -> None:
    worker = serve(SOURCE, limits={"body_bytes": 1000})
    for _ in range(5):
        connection = worker.socket()
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % (20 << 20))
        connection.sendall(b"x" * (20 << 20))
        assert everything(connection).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_read_whole(worker: "HttpWorker") -> None:
    connection = worker.socket()
    whole = execute("/echo", "x" * 1000).split(b"\r\n\r\n")[1]
    connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for at in range(0, len(whole), 100):
        part = whole[at : at + 100]
        connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
    connection.sendall(b"0\r\n\r\n")
    assert json.loads(answer(connection))["result"] == {"output": "x" * 1000}


def test_a_message_of_many_megabytes_comes_back_whole(worker: "HttpWorker") -> None:
    text = "é" * (5 << 20)
    assert worker.output("/echo", text) == text


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"{}\r\n\r\n",
    ],
)
def test_text_that_is_not_http_is_refused(worker: "HttpWorker", sent: bytes) -> None:
    connection = worker.socket()
    connection.sendall(sent)
    assert everything(connection).startswith(b"HTTP/1.1 400")
    assert worker.output("/echo", 1) == 1


def test_a_client_that_leaves_in_the_middle_of_its_body_disturbs_no_other(
    worker: "HttpWorker",
) -> None:
    for cut in (1, 60, 200, 300):
        connection = worker.socket()
        connection.sendall(execute("/echo", 1)[:cut])
        connection.close()
    assert worker.output("/echo", 1) == 1
    assert "Traceback" not in worker.stderr


ASKS_MUCH = """
@server.component
async def asks_much(input: int, context: StepflowContext):
    async def ask():
        try:
            await context.put_blob("x" * input)
        except BaseException as error:
            os.write(2, type(error).__name__.encode() + b" ")
            raise

    try:
        await asyncio.gather(*(ask() for _ in range(40)), return_exceptions=True)
    finally:
        ended.set()

ended = threading.Event()

@server.component
def waits_until_it_has_ended(input) -> bool:
    return ended.wait(60)

@server.component
async def echo(input):
    return input
"""


def test_a_client_that_does_not_read_fills_no_memory_and_disturbs_no_other(serve: "Serve") -> None:
    limits = {"unsent_bytes": 4 << 20, "stalled_seconds": 5.0}
    worker = serve(ASKS_MUCH, limits=limits)
    deaf = worker.socket()
    deaf.sendall(execute("/asks_much", 1 << 20))
    assert worker.output("/echo", 1) == 1
    assert worker.output("/waits_until_it_has_ended") is True
    assert "ServerNotReading" in worker.stderr


def test_a_client_that_does_not_read_is_disconnected(serve: "Serve") -> None:
    worker = serve(ASKS_MUCH, limits={"stalled_seconds": 0.5})
    deaf = worker.socket()
    deaf.sendall(execute("/asks_much", 1 << 20))
    assert worker.output("/waits_until_it_has_ended") is True
    assert "CancelledError" in worker.stderr, "as for any client that is gone"


def test_a_client_that_reads_slowly_gets_everything(serve: "Serve") -> None:
    worker = serve("@server.component\nasync def big(input): return 'x' * (8 << 20)")
    slow = socket.socket()
    slow.settimeout(30)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", worker.port))
    slow.sendall(execute("/big", None).replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
    got = 0
    while chunk := slow.recv(4096):
        got += len(chunk)
    assert got > 8 << 20
    slow.close()


def test_a_thousand_executes_at_once_share_four_places(serve: "Serve") -> None:
    worker = serve(
        """
        lock, running, most = threading.Lock(), 0, 0

        @server.component
        def counted(input: int) -> int:
            global running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.001)
            with lock:
                running -= 1
            return input

        @server.component
        def most_at_once(input) -> int:
            return most
        """,
        "--max-concurrency",
        "4",
    )
    connections = [worker.socket() for _ in range(500)]
    for number, connection in enumerate(connections):
        connection.sendall(execute("/counted", number) + execute("/counted", number))
    for number, connection in enumerate(connections):
        answers = b""
        while answers.count(b'"output":%d}' % number) < 2:
            received = connection.recv(1 << 16)
            assert received, f"the connection was closed after {answers!r}"
            answers += received
    assert worker.output("/most_at_once") <= 4


def test_many_streams_at_once_each_get_their_own(worker: "HttpWorker") -> None:
    def whole(number: int) -> object:
        client = worker.client()
        stream = client.begin("/get", str(number), id=1)
        request = stream.message()
        client.give_blob(request, request["params"]["blob_id"])
        return stream.message()["result"]["output"]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(whole, range(100))) == [str(number) for number in range(100)]


def test_nothing_is_left_behind(serve: "Serve") -> None:
    worker = serve(
        SOURCE
        + """
@server.component
def left(input) -> list[int]:
    import gc
    gc.collect()
    kinds = ("HttpExecute", "HttpSession", "Outbox", "Execution")
    return [sum(type(each).__name__ == kind for each in gc.get_objects()) for kind in kinds]
"""
    )
    before = worker.output("/left")
    for _ in range(3):
        session = worker.session()
        session.initialize()
        stream = session.begin("/get", "a")
        session.give_blob(stream.message(), 1)
        stream.message()
        dropped = session.begin("/get", "b")
        dropped.message()
        dropped.close()
        assert session.events is not None
        session.events.close()
    worker.wait_until(lambda: worker.output("/left") == before, "nothing is left")


EXITS = """
@server.component
async def exits_in_a_task(input):
    async def child():
        sys.exit(3)
    if input == "awaited":
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(child())
    task = asyncio.create_task(child())
    await asyncio.wait([task])
    return "went on"

@server.component
async def after(input):
    await asyncio.sleep(0)
    return input
"""


def test_sys_exit_in_a_task_of_a_component_stops_no_other_component(serve: "Serve") -> None:
    worker = serve(EXITS)
    error = worker.execute("/exits_in_a_task", "awaited")["error"]
    assert error["message"] == "the component called `sys.exit(3)`"
    assert worker.output("/exits_in_a_task", "left") == "went on"
    assert worker.output("/after", 1) == 1
