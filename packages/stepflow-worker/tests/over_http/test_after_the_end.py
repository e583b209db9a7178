"""Over HTTP too, a thread or task that a component leaves behind learns that its execute has ended."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from over_http.conftest import Serve

# The requests must not end by a time limit.
SOURCE = """
from queue import SimpleQueue
told, may_ask = SimpleQueue(), threading.Event()
StepflowContext.answer_timeout = 600.0
tasks = []

@server.component
def leaves_a_thread(input, context: StepflowContext):
    def ask_later():
        may_ask.wait()
        try:
            context.sync.evaluate_flow_by_id("f", 1)
        except BaseException as error:
            told.put(type(error).__name__)
    threading.Thread(target=ask_later, daemon=True).start()

@server.component
async def leaves_a_task(input, context: StepflowContext):
    async def ask_later():
        await asyncio.to_thread(may_ask.wait)
        try:
            await context.get_blob("a")
        except BaseException as error:
            told.put(type(error).__name__)
    tasks.append(asyncio.create_task(ask_later()))

@server.component
def what_it_was_told(input) -> str:
    may_ask.set()
    return told.get(timeout=20)
"""


@pytest.mark.parametrize("component", ["/leaves_a_thread", "/leaves_a_task"])
def test_a_request_that_comes_after_the_end_fails_at_once(serve: "Serve", component: str) -> None:
    worker = serve(SOURCE)
    assert worker.begin(component).message()["result"] == {"output": None}
    assert worker.output("/what_it_was_told") == "ExecuteEnded"
