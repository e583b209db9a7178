"""Reads the body of a request, and notices when its client disconnects."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stepflow.worker._http.asgi import ClientGone, Receive, Refused, Scope, header
from stepflow.worker._http.worker import Limits

SLOWEST_RATE = 64 << 10  # bytes per second, after the first `body_seconds`


async def read_body(scope: Scope, receive: Receive, limits: Limits) -> bytes:
    """Return the whole body.

    Raises `Refused` with 413 or 408, and `ClientGone` when the connection ends first.
    """
    if int(header(scope, b"content-length") or 0) > limits.body_bytes:
        raise _too_long(limits)
    begun = asyncio.get_running_loop().time()
    chunks: list[bytes] = []
    size = 0
    while True:
        try:
            async with asyncio.timeout_at(begun + limits.body_seconds + size / SLOWEST_RATE):
                message = await receive()
        except TimeoutError:
            raise Refused(408, "the body did not arrive in time", closing=True) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limits.body_bytes:
            raise _too_long(limits)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_long(limits: Limits) -> Refused:
    return Refused(
        413,
        f"a message may have {limits.body_bytes} bytes; put large values in blobs",
        closing=True,
        unread=limits.unread_seconds,
    )


WATCH_AFTER = 0.05
"""Seconds before the connection is watched. The task for it costs as much as a small execute."""


@contextmanager
def watched(receive: Receive, when_left: Callable[[], None]) -> Iterator[None]:
    """Call `when_left` when the client closes its connection before the block ends.

    The request's body must have been read.
    """
    loop = asyncio.get_running_loop()
    task: asyncio.Task[None] | None = None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        when_left()

    def begin() -> None:
        nonlocal task
        task = loop.create_task(watch())

    timer = loop.call_later(WATCH_AFTER, begin)
    try:
        yield
    finally:
        timer.cancel()
        if task is not None:
            task.cancel()
