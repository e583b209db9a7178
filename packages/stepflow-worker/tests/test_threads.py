"""The number of threads is limited, and the system may allow even fewer."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Json, Start, Worker

SOURCE = """
start = threading.Thread.start
given = {"more": True}

def perhaps(self):
    if not given["more"]:
        raise RuntimeError("can't start new thread")
    start(self)

threading.Thread.start = perhaps

@server.component
def asks(input: str, context: StepflowContext) -> str:
    return context.sync.get_blob(input)

@server.component(timeout="30s")
def waits_for_a_run(input, context: StepflowContext):
    return context.sync.evaluate_flow_by_id("f" * 64, input)

@server.component(inline=True)
def more_threads(input: bool) -> None:
    given["more"] = input

@server.component(inline=True)
def threads(input) -> int:
    return threading.active_count()
"""
BOUNDED = "from stepflow.worker._executing import threads as bounded\nbounded.MOST = 8\n"


def failure_of(worker: "Worker", ids: list[int]) -> "tuple[list[Json], list[Json]]":
    """Return the requests and the failures of executes; each has one or the other."""
    messages = [worker.receive() for _ in ids]
    return [m for m in messages if "method" in m], [m for m in messages if "error" in m]


def answered(worker: "Worker", requests: "list[Json]") -> None:
    for request in requests:
        worker.send(id=request["id"], error={"code": -32000, "message": "enough"})
    for _ in requests:
        assert (
            worker.receive()["error"]["message"]
            == "`runs/submit` was refused: enough (error -32000)"
        )


def test_without_a_thread_an_execute_is_refused_and_the_next_message_is_read(
    start: "Start",
) -> None:
    worker = start(SOURCE)
    worker.output("/more_threads", False)
    requests, failures = failure_of(
        worker, [worker.begin_execute("/waits_for_a_run", n) for n in range(50)]
    )
    assert failures, "there were threads for all"
    for failure in failures:
        error = failure["error"]
        assert error["code"] == -32003 and "can't start new thread" in error["message"]
        assert (error["data"]["code"], error["data"]["retry_after"]) == (503, 1)
    assert worker.output("/threads") < 20
    worker.output("/more_threads", True)
    again = worker.begin_execute("/waits_for_a_run", 1)
    answered(worker, [*requests, worker.called("runs/submit")])
    assert again


def test_without_a_thread_an_execute_waits_while_others_run(start: "Start") -> None:
    worker = start(SOURCE)
    ids = {worker.begin_execute("/asks", "first"): "first"}
    first = worker.called("blobs/get")
    worker.output("/more_threads", False)
    ids |= {worker.begin_execute("/asks", str(n)): str(n) for n in range(50)}
    worker.give_blob(first, "first")
    while ids:
        message = worker.receive()
        if "method" in message:
            worker.give_blob(message, message["params"]["blob_id"])
        else:
            assert message["result"]["output"] == ids.pop(message["id"])


def test_executes_that_wait_for_runs_do_not_exceed_the_limit_of_threads(start: "Start") -> None:
    worker = start(BOUNDED + SOURCE)
    before = worker.output("/threads")
    requests, failures = failure_of(
        worker, [worker.begin_execute("/waits_for_a_run", n) for n in range(50)]
    )
    assert 0 < len(requests) <= 8 and "all 8 of its threads" in failures[0]["error"]["message"]
    assert worker.output("/threads") <= before + 8
    answered(worker, requests)
    assert worker.request("components/list")["result"]


def test_after_a_burst_only_some_threads_are_kept(start: "Start") -> None:
    worker = start(SOURCE)
    requests, failures = failure_of(
        worker, [worker.begin_execute("/waits_for_a_run", n) for n in range(100)]
    )
    assert not failures
    assert worker.output("/threads") > 100
    answered(worker, requests)
    worker.wait_until(lambda: worker.output("/threads") <= 50, "most threads have ended")


WAITING = """
from stepflow.worker._executing import executor
executor.MOST_WAITING = 10_000

@server.component(max_concurrency=LIMIT)
def limited(input: str, context: StepflowContext) -> str:
    return context.sync.get_blob(input)
"""


@pytest.mark.parametrize("most", ["1", "None"], ids=["a component's limit", "the worker's"])
def test_waiting_inputs_do_not_exceed_their_memory_limit(start: "Start", most: str) -> None:
    worker = start(WAITING.replace("LIMIT", most), "--max-concurrency", "1")
    ids = [worker.begin_execute("/limited", "x" * 3_000) for _ in range(8)]
    request = worker.called("blobs/get")
    for refused in ids[4:]:
        error = worker.answer(refused)["error"]
        assert error["data"]["code"] == 503 and "wait for their turn already" in error["message"]
    for id in ids[:4]:
        worker.give_blob(request, "done")
        assert worker.answer(id)["result"] == {"output": "done"}
        if id != ids[3]:
            request = worker.called("blobs/get")
    again = worker.begin_execute("/limited", "y")
    worker.give_blob(worker.called("blobs/get"), "done")
    assert worker.answer(again)["result"] == {"output": "done"}
