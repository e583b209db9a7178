"""The application that uvicorn serves: it checks the token, and has the protocol's endpoint and pages for people."""

import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
from fastapi import FastAPI, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from stepflow.protocol import ComponentsListResult
from stepflow.worker._http import documentation
from stepflow.worker._http.asgi import App, Receive, Refused, Scope, Send, header
from stepflow.worker._http.hosts import refusal
from stepflow.worker._http.rpc import Rpc
from stepflow.worker._http.sessions import Sessions
from stepflow.worker._http.worker import Worker

HEALTH = "/health"


def application(
    worker: Worker, sessions: Sessions, token: str | None, *, own_name: str | None = None
) -> App:
    """Return the whole application.

    token: what every request must carry, except one for `/health`; None when no token is needed.
    own_name: the host name that requests may use besides `localhost` and IP addresses; None allows
    every name.
    """
    rpc, pages = Rpc(worker, sessions), _pages(worker, sessions)
    expected = None if token is None else token.encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if (refused := refusal(scope, own_name)) is not None:
            await refused.send(send, receive)
        elif expected is not None and scope["path"] != HEALTH and not _is_allowed(scope, expected):
            await _UNAUTHORIZED.send(send, receive)
        elif scope["path"] == "/":
            await rpc(scope, receive, send)  # not through FastAPI, which takes as long as a step
        else:
            await pages(scope, receive, send)

    return app


_UNAUTHORIZED = Refused(
    401,
    "this worker wants its token, as `Authorization: Bearer …`",
    headers=((b"www-authenticate", b"Bearer"),),
)


def _is_allowed(scope: Scope, expected: bytes) -> bool:
    scheme, _, token = header(scope, b"authorization").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode("latin-1"), expected)


def _pages(worker: Worker, sessions: Sessions) -> FastAPI:
    pages = FastAPI(
        title="Stepflow worker",
        version=worker.served.version or "0",
        description="The protocol is JSON-RPC, at `POST /`. These are the pages for people.",
        docs_url=None,  # FastAPI's own pages load scripts from other hosts
        redoc_url=None,
    )

    @pages.get(HEALTH)
    async def health() -> Response:
        """Whether the worker takes work: `healthy`, or `draining` when it is about to stop."""
        return _json(
            {
                "status": "draining" if worker.executor.draining else "healthy",
                "instanceId": worker.instance_id,
                "timestamp": datetime.now(UTC),
                "service": "stepflow-worker",
            }
        )

    @pages.get("/components")
    async def components() -> Response:
        """All components, with their schemas."""
        served = worker.served.components.values()
        return _json(ComponentsListResult([each.info() for each in served]))

    @pages.get("/components/{path:path}")
    async def component(path: str) -> Response:
        """One component, with its schemas."""
        found = worker.served.find(f"/{path}")
        if found is None:
            return _json({"error": f"there is no component `/{path}`"}, 404)
        return _json(found.component.info(f"/{path}"))

    @pages.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        served = worker.served.components.values()
        text = documentation.page(worker.served.version or "", [each.info() for each in served])
        return Response(text, media_type="text/html", headers=documentation.HEADERS)

    @pages.get("/runtime/events")
    async def runtime_events(request: Request) -> Response:
        """Open a session, or resume one with `?sessionId=`. It lasts as long as this stream."""
        await worker.ready.wait()
        id = request.query_params.get("sessionId")
        try:
            session = sessions.open() if id is None else sessions.named(id)
        except Refused as refused:
            return Response(refused.body, refused.status, media_type="application/json")
        return _stream(session.events(), worker)

    return pages


def _stream(events: AsyncIterator[dict[str, str]], worker: Worker) -> Response:
    return EventSourceResponse(
        events,
        headers={"stepflow-instance-id": worker.instance_id},
        ping=worker.limits.keep_alive_seconds,
        ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep="\n"),
        sep="\n",
    )


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
