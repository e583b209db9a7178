"""How an execute is answered: by a JSON body, or by a stream of server-sent events that ends with the answer.

Published servers split a stream at every LF LF, read one data line of each event, and lose a chunk
that ends in the middle of a character. So every event has LF line ends, one `data` line, and only
ASCII characters.
"""

import asyncio
import json
import re

import msgspec

from stepflow.worker._http.asgi import Header, Send, respond
from stepflow.worker._http.outbox import Outbox

KEEP_ALIVE = b": keep-alive\n\n"

CONTENT_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # tells proxies not to collect events
)

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def event(line: bytes) -> bytes:
    """Return a framed message, which is JSON and an LF, as one event."""
    if b"\n" in line[:-1] or b"\r" in line:
        # A component's raw value may have line breaks between its tokens.
        line = msgspec.json.format(line, indent=-1) + b"\n"
    if not line.isascii():
        # JSON has other characters only inside strings, and there an escape means the same.
        line = _BEYOND_ASCII.sub(_escaped, line.decode()).encode("ascii")
    return b"data: %b\n" % line


def _escaped(characters: re.Match[str]) -> str:
    return json.dumps(characters[0])[1:-1]


async def send_answer(send: Send, outbox: Outbox, turn: int) -> None:
    """Send the answer of an execute as the body. Raises `ClientGone`."""
    answer = await outbox.take(turn)
    await respond(send, 200, answer.line[:-1])


async def send_events(
    send: Send, outbox: Outbox, turn: int, instance: Header, keep_alive: float | None
) -> None:
    """Send the requests of an execute, then its answer. Raises `ClientGone`.

    keep_alive: seconds of silence until a comment is sent; None for a client that cannot read
    comments.
    """
    headers = [CONTENT_TYPE, instance, *HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    more = True
    while more:
        try:
            async with asyncio.timeout(keep_alive):
                line, is_last = await outbox.take(turn)
        except TimeoutError:
            chunk = KEEP_ALIVE
        else:
            chunk, more = event(line), not is_last
        await send({"type": "http.response.body", "body": chunk, "more_body": more})
