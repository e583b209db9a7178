"""Reads a request's body, no longer and no larger than is allowed."""

import asyncio

from stepflow.worker._http.asgi import Receive, Scope, header
from stepflow.worker._http.limits import Limits
from stepflow.worker._http.refusals import ClientGone, Refused

SLOWEST = 64 << 10  # bytes per second, once the first allowance is used up


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
            async with asyncio.timeout_at(begun + limits.body_seconds + size / SLOWEST):
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
