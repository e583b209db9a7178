"""Each execute has its own context variables. They begin with the values that the lifespan has set."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start

SOURCE = """
import contextlib, contextvars

TENANT = contextvars.ContextVar("tenant", default="nobody")

@contextlib.asynccontextmanager
async def lifespan(server):
    TENANT.set("everybody")
    yield

server = StepflowServer(include_builtins=False, lifespan=lifespan)

def seen_and_set(input):
    seen = TENANT.get()
    TENANT.set(input)
    return seen

@server.component
def plain(input):
    return seen_and_set(input)

@server.component(inline=True)
def inline(input):
    return seen_and_set(input)

@server.component
async def awaited(input):
    seen = seen_and_set(input)
    await asyncio.sleep(0)
    return [seen, TENANT.get()]
"""


@pytest.mark.parametrize(
    ("component", "sees"),
    [("/plain", "everybody"), ("/inline", "everybody"), ("/awaited", ["everybody", "mine"])],
)
def test_an_execute_sees_nothing_that_another_has_set(
    start: "Start", component: str, sees: object
) -> None:
    worker = start(SOURCE, "--max-concurrency", "1")
    outputs = [worker.execute(component, "mine")["result"]["output"] for _ in range(3)]
    assert outputs == [sees] * 3
