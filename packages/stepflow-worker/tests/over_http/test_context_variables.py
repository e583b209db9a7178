"""Over HTTP too, each execute has its own context variables."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from over_http.conftest import Serve

SOURCE = """
import contextlib, contextvars

TENANT = contextvars.ContextVar("tenant", default="nobody")

@contextlib.asynccontextmanager
async def lifespan(server):
    TENANT.set("everybody")
    yield

server = StepflowServer(lifespan=lifespan)

def seen_and_set(input):
    seen = TENANT.get()
    TENANT.set(input)
    return seen

@server.component
def plain(input):
    return seen_and_set(input)

@server.component
async def awaited(input):
    return seen_and_set(input)
"""


@pytest.mark.parametrize("component", ["/plain", "/awaited"])
def test_an_execute_sees_nothing_that_another_has_set(serve: "Serve", component: str) -> None:
    worker = serve(SOURCE, "--max-concurrency", "1")
    assert [worker.output(component, "mine") for _ in range(3)] == ["everybody"] * 3
