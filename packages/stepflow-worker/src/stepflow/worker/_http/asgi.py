"""ASGI for the other modules: its types, a request's headers, and how a response or a refusal is sent."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from stepflow.protocol import ErrorAnswer, ErrorCode, ErrorObject, MessageId, encode

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")
CLOSE: Header = (b"connection", b"close")


def header(scope: Scope, name: bytes) -> str:
    """Return the value of a request header, or an empty string. `name` is in lower case."""
    values = [value for each, value in scope["headers"] if each == name]
    return b", ".join(values).decode("latin-1")


async def respond(
    send: Send,
    status: int,
    body: bytes,
    content: Header = JSON,
    more: Iterable[Header] = (),
    *,
    is_whole: bool = True,
) -> None:
    """Send a response. With `is_whole=False` the caller ends it later, with an empty body."""
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [content, length, *more]}
    )
    await send({"type": "http.response.body", "body": body, "more_body": not is_whole})


class ClientGone(Exception):
    """Raised when the client has closed its connection: no client waits for an answer."""


class Refused(Exception):
    """Raised for a request that is not served. Its body is a JSON-RPC error that says why."""

    def __init__(
        self,
        status: int,
        message: str,
        code: int = ErrorCode.INVALID_REQUEST,
        *,
        id: MessageId | None = None,
        data: object = None,
        closing: bool = False,
        unread: float = 0.0,
        headers: tuple[Header, ...] = (),
    ) -> None:
        """closing: close the connection too, without reading the rest of the request.
        unread: how many seconds the client may be silent before the connection is closed. A client
        that is still sending when it is closed gets an error of the connection, not the answer.
        """
        super().__init__(message)
        self._unread = unread
        self.status = status
        self.headers = (*headers, CLOSE) if closing else headers
        self.body = encode(ErrorAnswer(id, ErrorObject(code, message, data)))

    async def send(self, send: Send, receive: Receive) -> None:
        """Answer the request."""
        if not self._unread:
            return await respond(send, self.status, self.body, more=self.headers)
        await respond(send, self.status, self.body, more=self.headers, is_whole=False)
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(self._unread):
                    message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
        await send({"type": "http.response.body"})
