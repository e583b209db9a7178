"""The two shapes of an execute's answer: a JSON body, or a stream of events that ends with it."""

import asyncio

from stepflow.worker._http import events
from stepflow.worker._http.asgi import Header, Send, respond
from stepflow.worker._http.outbox import Outbox


async def send_answer(send: Send, outbox: Outbox, turn: int) -> None:
    """Send an execute's answer as the body. Raises `ClientGone`."""
    said = await outbox.take(turn)
    await respond(send, 200, said.line[:-1])


async def send_events(
    send: Send, outbox: Outbox, turn: int, instance: Header, keep_alive: float | None
) -> None:
    """Send an execute's requests and at last its answer. Raises `ClientGone`.

    keep_alive: seconds of silence until a comment is sent; None for a client that knows none.
    """
    headers = [events.CONTENT_TYPE, instance, *events.HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    more = True
    while more:
        try:
            async with asyncio.timeout(keep_alive):
                line, is_last = await outbox.take(turn)
        except TimeoutError:
            chunk = events.KEEP_ALIVE
        else:
            chunk, more = events.event(line), not is_last
        await send({"type": "http.response.body", "body": chunk, "more_body": more})
