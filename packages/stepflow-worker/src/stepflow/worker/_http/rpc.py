"""`POST /`: one JSON-RPC message in, its answer out."""

from stepflow.protocol import (
    Envelope,
    ErrorCode,
    InvalidEnvelope,
    Method,
    NotJson,
    UnencodableInput,
    decode,
)
from stepflow.worker._http.answers import CONTENT_TYPE, event, send_answer, send_events
from stepflow.worker._http.asgi import (
    ClientGone,
    Header,
    Receive,
    Refused,
    Scope,
    Send,
    header,
    respond,
)
from stepflow.worker._http.executes import TransportParams, transport_params
from stepflow.worker._http.media_types import Accepted, accepted, is_json
from stepflow.worker._http.request import read_body, watched
from stepflow.worker._http.sessions import HttpSession, Sessionless, Sessions
from stepflow.worker._http.worker import Worker

EMPTY_BODY = b'""'
"""The body for a message that needs no answer: published servers read it as JSON."""


class Rpc:
    """The endpoint, as an ASGI application that uvicorn's parser calls without a framework between."""

    def __init__(self, worker: Worker, sessions: Sessions) -> None:
        self._worker = worker
        self._sessions = sessions
        self._instance: Header = (b"stepflow-instance-id", worker.instance_id.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._serve(scope, receive, send)
        except Refused as refused:
            await refused.send(send, receive)
        except ClientGone:
            pass

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        takes = _accepted_answers(scope)
        await self._worker.ready.wait()  # before it reads: waiting bodies would fill the memory
        message = _decoded(await read_body(scope, receive, self._worker.limits))
        client = self._sessions.client_of(scope["query_string"])
        if message.method == Method.components_execute and message.id is not None:
            return await self._execute(client, message, takes, receive, send)
        lines: list[bytes] = []
        client.protocol.handle(message, lines.append, lines.append)
        if message.method is None or message.id is None:
            await respond(send, 202, EMPTY_BODY)
        elif takes.json:
            await respond(send, 200, lines[0][:-1])
        else:
            await respond(send, 200, event(lines[0]), CONTENT_TYPE)

    async def _execute(
        self,
        client: HttpSession | Sessionless,
        message: Envelope,
        takes: Accepted,
        receive: Receive,
        send: Send,
    ) -> None:
        params = transport_params(message)
        streams = self._takes_context(params)
        if streams and not takes.events:
            raise Refused(
                406,
                f"`{params.component}` may make requests of its own: Accept must allow "
                "text/event-stream, by which they come",
                id=message.id,
            )
        execute, turn = client.execute(message, params)
        outbox = execute.outbox
        try:
            with watched(receive, lambda: outbox.end(turn)):
                if streams or not takes.json:
                    await send_events(send, outbox, turn, self._instance, client.keep_alive)
                else:
                    await send_answer(send, outbox, turn)
        except ClientGone:
            execute.client_left()
        else:
            execute.delivered()

    def _takes_context(self, params: TransportParams) -> bool:
        found = self._worker.served.find(params.component or "")
        return found is not None and found.component.takes_context


def _accepted_answers(scope: Scope) -> Accepted:
    """Return which answers the client accepts. Raises `Refused` for headers that cannot be served."""
    if scope["method"] != "POST":
        message = "messages are sent by POST; GET /docs shows the other routes"
        raise Refused(405, message, headers=((b"allow", b"POST"),))
    kind = header(scope, b"content-type")
    if not is_json(kind):
        raise Refused(415, f"the Content-Type must be application/json; it is {kind or 'missing'}")
    accept = header(scope, b"accept")
    takes = accepted(accept)
    if not any(takes):
        raise Refused(
            406,
            "Accept must allow application/json or text/event-stream, best both; "
            f"it is {accept or 'missing'}",
        )
    return takes


def _decoded(body: bytes) -> Envelope:
    try:
        return decode(body)
    except NotJson as error:
        raise Refused(400, str(error), ErrorCode.PARSE_ERROR) from None
    except UnencodableInput as error:  # as for any other input that the component cannot take
        raise Refused(200, str(error), error.code, id=error.id, data=error.data) from None
    except InvalidEnvelope as error:
        raise Refused(400, str(error), ErrorCode.INVALID_REQUEST, id=error.id) from None
