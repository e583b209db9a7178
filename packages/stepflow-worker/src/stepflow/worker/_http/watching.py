"""Notices that a client has left while its request is being worked on."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stepflow.worker._http.asgi import Receive

PATIENCE = 0.05
"""Seconds before the connection is watched: that takes a task, as dear as a small execute."""


@contextmanager
def watched(receive: Receive, left: Callable[[], None]) -> Iterator[None]:
    """Call `left` when the client closes its connection before the block ends.

    The request's body must have been read.
    """
    loop = asyncio.get_running_loop()
    task: asyncio.Task[None] | None = None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left()

    def begin() -> None:
        nonlocal task
        task = loop.create_task(watch())

    timer = loop.call_later(PATIENCE, begin)
    try:
        yield
    finally:
        timer.cancel()
        if task is not None:
            task.cancel()
