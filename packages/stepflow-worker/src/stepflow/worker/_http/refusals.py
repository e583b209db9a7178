"""Requests that are answered by their HTTP status, before or instead of the protocol."""

from stepflow.protocol import ErrorAnswer, ErrorCode, ErrorObject, MessageId, encode
from stepflow.worker._http.asgi import CLOSE, Header, Send, respond


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
        headers: tuple[Header, ...] = (),
    ) -> None:
        """`closing` ends the connection as well, of which the rest is not read."""
        super().__init__(message)
        self.status = status
        self.headers = (*headers, CLOSE) if closing else headers
        self.body = encode(ErrorAnswer(id, ErrorObject(code, message, data)))

    async def send(self, send: Send) -> None:
        """Answer the request."""
        await respond(send, self.status, self.body, more=self.headers)
