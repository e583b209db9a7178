"""Bad messages and bad components: a worker goes on, and answers each request once."""

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker

SOURCE = """
import subprocess

runs = []

@server.component
def echo(input):
    return input

@server.component
def counts(input: str, context: StepflowContext) -> int:
    runs.append(input)
    context.sync.get_blob(input)
    return len(runs)

@server.component
async def counts_async(input: str, context: StepflowContext) -> int:
    runs.append(input)
    await context.get_blob(input)
    return len(runs)

@server.component
def blocks_reading(input: str) -> str:
    # A child that holds whatever descriptors it inherited, and goes on.
    return subprocess.run(["cat"], input=input, text=True, capture_output=True).stdout
"""


@pytest.fixture
def worker(start: "Start") -> "Worker":
    return start(SOURCE)


@pytest.mark.parametrize("component", ["/counts", "/counts_async"])
def test_the_same_id_twice_is_refused_and_not_run_again(worker: "Worker", component: str) -> None:
    id = worker.begin_execute(component, "x")
    request = worker.called("blobs/get")
    worker.repeat_last()
    refusal = worker.answer(id)["error"]
    assert refusal["code"] == -32600
    assert refusal["message"] == f"the id {id} names an execute that is open already"
    worker.give_blob(request, None)
    assert worker.answer(id)["result"] == {"output": 1}


def test_an_id_may_be_used_again_once_it_is_answered(worker: "Worker") -> None:
    id = worker.begin_execute("/echo", 1)
    assert worker.answer(id)["result"] == {"output": 1}
    worker.repeat_last()
    assert worker.answer(id)["result"] == {"output": 1}


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":true,"method":"components/list","params":{}}\n',
        b'{"jsonrpc":"2.0","id":1.5,"method":"components/list","params":{}}\n',
        b'{"jsonrpc":"2.0","id":[1],"method":"components/list","params":{}}\n',
        b'{"jsonrpc":"2.0","id":{},"method":"components/list","params":{}}\n',
    ],
)
def test_an_id_of_the_wrong_type_is_no_id(worker: "Worker", line: bytes) -> None:
    worker.send_line(line)
    answer = worker.receive()
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)
    assert worker.output("/echo", 1) == 1


def test_a_notification_with_an_id_is_answered(worker: "Worker") -> None:
    assert worker.request("initialized")["result"] == {}
    cancel = {"task_id": "nobody's", "attempt": 1}
    assert worker.request("components/cancel", cancel)["result"] == {}


def test_a_cancel_without_an_execute_and_an_invalid_one_change_nothing(worker: "Worker") -> None:
    worker.cancel(attempt=9)
    worker.send(method="components/cancel", params={"task_id": 7})
    id = worker.begin_execute("/echo", 1)
    assert worker.receive()["id"] == id


def test_an_execute_without_an_id_is_not_run(worker: "Worker") -> None:
    params = {"component": "/counts", "input": "x", "attempt": 1, "observability": {}}
    worker.send(method="components/execute", params=params)
    id = worker.begin_execute("/counts", "y")
    worker.give_blob(worker.called("blobs/get"), None)
    assert worker.answer(id)["result"] == {"output": 1}


def test_an_answer_that_arrives_twice_is_used_once(worker: "Worker") -> None:
    id = worker.begin_execute("/counts", "x")
    request = worker.called("blobs/get")
    for _ in range(2):
        worker.give_blob(request, None)
    assert worker.answer(id)["result"] == {"output": 1}
    assert worker.output("/echo", 1) == 1


def test_lines_may_end_in_crlf(worker: "Worker") -> None:
    worker.send_line(b'{"id":5,"method":"components/list","params":{}}\r\n')
    assert "result" in worker.answer(5)


@pytest.mark.parametrize("part", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
def test_invalid_utf8_is_refused_in_every_place(worker: "Worker", part: bytes) -> None:
    worker.send_line(b'{"id":5,"method":"' + part + b'","params":{}}\n')
    assert "error" in worker.receive()
    params = b'{"component":"/echo","input":"' + part + b'","attempt":1,"observability":{}}'
    worker.send_line(b'{"id":6,"method":"components/execute","params":' + params + b"}\n")
    error = worker.receive()["error"]
    assert error["code"] in (-32700, -32602, -32002)
    assert worker.output("/echo", 1) == 1


def test_a_line_beyond_the_limit_is_refused_and_the_next_is_served(worker: "Worker") -> None:
    for _ in range(300):
        worker.send_line(b"x" * (1 << 20))
    worker.send_line(b"\n")
    answer = worker.receive()
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)
    assert worker.output("/echo", 1) == 1


def test_half_a_line_at_the_end_is_no_message(worker: "Worker") -> None:
    worker.send_line(b'{"id":5,"method":"components/list","params":{}}')
    worker.close_input()
    assert worker.wait() == 0
    with pytest.raises(AssertionError, match="ended instead of answering"):
        worker.receive()


def test_a_server_that_reads_late_gets_all_answers(worker: "Worker") -> None:
    """Both pipes are full: the worker cannot write, and the test goes on writing."""
    text = "x" * 100_000
    with worker.not_reading():
        ids = [worker.begin_execute("/echo", text) for _ in range(64)]
    assert all(worker.answer(id)["result"] == {"output": text} for id in ids)


@pytest.mark.skipif(sys.platform == "win32", reason="needs `cat`")
def test_a_component_may_talk_to_a_child_process(worker: "Worker") -> None:
    assert worker.output("/blocks_reading", "hello") == "hello"


def test_a_component_that_ends_the_process_ends_only_its_own_worker(start: "Start") -> None:
    worker = start("@server.component\ndef dies(input: int) -> None: os._exit(input)")
    worker.begin_execute("/dies", 7)
    assert worker.wait() == 7
