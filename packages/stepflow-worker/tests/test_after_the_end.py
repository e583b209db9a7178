"""A thread or task that a component leaves behind cannot send requests any more, and they fail at once."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start

# `told` holds the results of the requests that were left behind. These must not end by a time limit.
SOURCE = """
from queue import SimpleQueue
told, may_ask = SimpleQueue(), threading.Event()
StepflowContext.answer_timeout = 600.0

def telling(ask):
    try:
        ask()
    except BaseException as error:
        told.put(f"{type(error).__name__}: {error}")

async def telling_async(wait, ask):
    try:
        if wait:
            await asyncio.to_thread(may_ask.wait)
        await ask()
    except BaseException as error:
        told.put(f"{type(error).__name__}: {error}")

def asks_of(context):
    return {
        "put_blob": lambda: context.put_blob(1),
        "get_blob": lambda: context.get_blob("a"),
        "evaluate_flow": lambda: context.evaluate_flow_by_id("f", 1),
    }

@server.component
def leaves_threads(input, context: StepflowContext):
    def ask_later(ask):
        may_ask.wait()
        telling(ask)
    for ask in asks_of(context.sync).values():
        threading.Thread(target=ask_later, args=(ask,), daemon=True).start()

tasks = []

@server.component
async def leaves_tasks(input, context: StepflowContext):
    for ask in asks_of(context).values():
        tasks.append(asyncio.create_task(telling_async(True, ask)))

@server.component
def leaves_a_request(input, context: StepflowContext):
    threading.Thread(target=telling, args=(lambda: context.sync.get_blob("a"),), daemon=True).start()
    context.sync.get_blob("b")

@server.component
async def leaves_a_request_async(input, context: StepflowContext):
    tasks.append(asyncio.create_task(telling_async(False, lambda: context.get_blob("a"))))
    await context.get_blob("b")

@server.component
def what_they_were_told(input: int) -> list[str]:
    may_ask.set()
    return sorted(told.get(timeout=20) for _ in range(input))
"""
AFTER = [
    f"ExecuteEnded: `{method}` was asked by what a component had left behind: its execute has ended\n"
    "hint: wait for the threads and tasks that a component starts before it returns"
    for method in ("blobs/get", "blobs/put", "runs/submit")
]


@pytest.mark.parametrize("component", ["/leaves_threads", "/leaves_tasks"])
def test_a_request_that_comes_after_the_end_fails_at_once(start: "Start", component: str) -> None:
    worker = start(SOURCE)
    assert worker.output(component) is None
    assert worker.output("/what_they_were_told", 3) == AFTER


@pytest.mark.parametrize("component", ["/leaves_a_request", "/leaves_a_request_async"])
def test_a_request_that_waits_at_the_end_fails(start: "Start", component: str) -> None:
    worker = start(SOURCE)
    id = worker.begin_execute(component)
    requests = [worker.called("blobs/get") for _ in range(2)]
    worker.give_blob(next(r for r in requests if r["params"]["blob_id"] == "b"), None)
    assert "result" in worker.answer(id)
    assert worker.output("/what_they_were_told", 1) == AFTER[:1]
