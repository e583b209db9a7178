"""Executes that are asked to end: by a cancel, by a deadline, by their component's own timeout."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker

SOURCE = """
from stepflow.worker import Cancelled

@server.component
async def waits(input: str, context: StepflowContext) -> str:
    return await context.get_blob(input)

@server.component
def waits_sync(input: str, context: StepflowContext) -> str:
    return context.sync.get_blob(input)

@server.component
def computes(input: str, context: StepflowContext) -> str:
    context.sync.get_blob("begun")
    while True:
        pass

@server.component
def looks(input: str, context: StepflowContext) -> str:
    context.sync.get_blob("begun")
    while not context.cancelled:
        time.sleep(0.001)
    return "finished all the same"
"""


@pytest.fixture
def worker(start: "Start") -> "Worker":
    return start(SOURCE, "--max-concurrency", "2")


def begun(worker: "Worker", component: str, attempt: int = 1) -> int:
    """Begin an execute and return its id once its component runs."""
    id = worker.begin_execute(component, "x", attempt)
    worker.give_blob(worker.called("blobs/get"), "go on")
    return id


@pytest.mark.parametrize("component", ["/waits", "/waits_sync"])
def test_a_cancelled_component_ends_where_it_waits(worker: "Worker", component: str) -> None:
    id = worker.begin_execute(component, "x")
    worker.called("blobs/get")
    worker.cancel(reason="the run was cancelled")
    error = worker.answer(id)["error"]
    assert error["code"] == -32005
    assert error["message"] == "the execute was cancelled: the run was cancelled"


def test_a_sync_component_that_ignores_a_cancel_is_interrupted(worker: "Worker") -> None:
    id = begun(worker, "/computes")
    worker.cancel()
    error = worker.answer(id)["error"]
    assert error["code"] == -32005
    assert "in computes" in error["data"]["traceback"]


def test_a_component_that_finishes_in_spite_of_a_cancel_succeeds(worker: "Worker") -> None:
    id = begun(worker, "/looks")
    worker.cancel()
    assert worker.answer(id)["result"] == {"output": "finished all the same"}


@pytest.mark.parametrize("component", ["/waits", "/waits_sync"])
def test_a_cancelled_execute_that_waits_is_answered_at_once(
    worker: "Worker", component: str
) -> None:
    for attempt in (1, 2):
        worker.begin_execute(component, "x", attempt)
        worker.called("blobs/get")
    queued = worker.begin_execute(component, "x", 3)
    worker.cancel(attempt=3)
    assert worker.receive()["id"] == queued


def test_only_the_named_attempt_is_cancelled(worker: "Worker") -> None:
    first = worker.begin_execute("/waits", "x", 1)
    request = worker.called("blobs/get")
    second = worker.begin_execute("/waits", "x", 2)
    worker.called("blobs/get")
    worker.cancel(attempt=2)
    assert worker.answer(second)["error"]["code"] == -32005
    worker.give_blob(request, "still there")
    assert worker.answer(first)["result"] == {"output": "still there"}
