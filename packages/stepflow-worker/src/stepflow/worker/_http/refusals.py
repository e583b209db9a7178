"""Requests that are answered by their HTTP status, before or instead of the protocol."""

import asyncio
import contextlib

from stepflow.protocol import ErrorAnswer, ErrorCode, ErrorObject, MessageId, encode
from stepflow.worker._http.asgi import CLOSE, Header, Receive, Send, respond


class ClientGone(Exception):
    """Raised when the client has closed its connection: nobody waits for an answer."""


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
        """`closing` ends the connection as well, of which the rest is not read.

        unread: how long its client may be silent until then, in seconds. One that is still sending
        when the connection is closed would be told of that, and never get the answer.
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
