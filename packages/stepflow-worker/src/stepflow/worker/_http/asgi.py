"""The few words of ASGI that the other modules need, and how a whole response is sent."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")
CLOSE: Header = (b"connection", b"close")


def header(scope: Scope, name: bytes) -> str:
    """Return a request header's value, empty where there is none; `name` is lower case."""
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
    """Send a response whole; one that is not is to be ended with an empty body."""
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [content, length, *more]}
    )
    await send({"type": "http.response.body", "body": body, "more_body": not is_whole})
