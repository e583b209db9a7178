"""The clients that send messages: sessions, opened by `GET /runtime/events`, and clients without one.

When its event stream ends, a session ends, and its open executes end too. If the server has announced
`resume`, both are kept for some time: the server can open the stream again, and repeat the executes
whose answers it did not receive. A repeated execute has the same task and attempt. It does not run
again: it joins the one that runs, or gets the answer that was kept.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import parse_qs

from stepflow.protocol import Envelope
from stepflow.worker._calls import PendingCalls
from stepflow.worker._context.context import StepflowStreamingContext
from stepflow.worker._http.asgi import Refused
from stepflow.worker._http.executes import HttpExecute, TaskRef, TransportParams
from stepflow.worker._http.kept_answers import KeptAnswers
from stepflow.worker._http.worker import Worker
from stepflow.worker._session import Session


class Sessionless:
    """All clients that have opened no session: published servers, and people with `curl`.

    Two of them may use the same message ids, so each execute has its own `Session`. The components'
    requests have unique ids, so one table holds those of all these clients.
    """

    keep_alive: float | None = None

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._calls = PendingCalls()

    @property
    def protocol(self) -> Session:
        """A new `Session` for one message: nothing is kept of clients that cannot be told apart."""
        return Session(
            self._worker.served,
            self._worker.executor,
            calls=self._calls,
            context=StepflowStreamingContext,
        )

    def execute(self, message: Envelope, params: TransportParams) -> tuple[HttpExecute, int]:
        """Begin an execute. Returns the turn to read from its outbox as well."""
        execute = HttpExecute(self._worker, self.protocol)
        return execute, execute.start(message)


class HttpSession:
    """One server's session."""

    def __init__(self, worker: Worker, sessions: "dict[str, HttpSession]") -> None:
        """sessions: the open sessions by id. This one adds itself, and removes itself at its end."""
        self.id = str(uuid.uuid4())
        self.protocol = Session(
            worker.served,
            worker.executor,
            id=self.id,
            context=StepflowStreamingContext,
            resumable=True,
        )
        self._worker = worker
        self._sessions = sessions
        self._executes: dict[TaskRef, HttpExecute] = {}
        self._kept = KeptAnswers(worker.limits.resume_seconds, worker.limits.kept_bytes)
        self._stream: asyncio.Event | None = None
        self._ending: asyncio.TimerHandle | None = None
        sessions[self.id] = self

    @property
    def keep_alive(self) -> float | None:
        """Seconds between the comments on a silent stream; None before the server has negotiated."""
        negotiated = self.protocol.server is not None
        return self._worker.limits.keep_alive_seconds if negotiated else None

    def execute(self, message: Envelope, params: TransportParams) -> tuple[HttpExecute, int]:
        """Begin an execute, or join the one that is repeated. Returns the turn to read as well."""
        task = params.task
        if task is None or not self._resumes:
            execute = HttpExecute(self._worker, self.protocol)
            return execute, execute.start(message)
        if (open := self._executes.get(task)) is not None:
            return open, open.begin_again(message.id)
        patience = self._worker.limits.resume_seconds
        execute = HttpExecute(
            self._worker, self.protocol, patience, partial(self._execute_over, task)
        )
        self._executes[task] = execute
        if (answer := self._kept.get(task)) is not None:
            execute.outbox.answer(answer)
            return execute, execute.begin_again(message.id)
        return execute, execute.start(message)

    async def events(self) -> AsyncIterator[dict[str, str]]:
        """Yield the events of the session's stream. A second stream replaces the first."""
        stream = self._begin_stream()
        try:
            yield {
                "event": "endpoint",
                "data": json.dumps({"endpoint": f"/?sessionId={self.id}"}),
            }
            await stream.wait()
        finally:
            self._stream_ended(stream)

    def end(self) -> None:
        """End the session with its stream and its executes."""
        self._sessions.pop(self.id, None)
        if self._ending is not None:
            self._ending.cancel()
        self.protocol.close(cancel=True)
        for execute in list(self._executes.values()):
            execute.give_up()
        if self._stream is not None:
            self._stream.set()

    def end_stream(self) -> None:
        """End only the stream, because the worker ends."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.set()

    @property
    def _resumes(self) -> bool:
        return self.protocol.server is not None and bool(self.protocol.server.resume)

    def _execute_over(self, task: TaskRef, answer: bytes | None) -> None:
        self._executes.pop(task, None)
        if answer is not None:
            self._kept.keep(task, answer)

    def _begin_stream(self) -> asyncio.Event:
        if self._stream is not None:
            self._stream.set()
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self._stream = asyncio.Event()
        if self._worker.leaving:
            self._stream.set()
        return self._stream

    def _stream_ended(self, stream: asyncio.Event) -> None:
        if stream is not self._stream:
            return  # another has replaced it
        if self._resumes:
            patience = self._worker.limits.resume_seconds
            self._ending = self._worker.loop.call_later(patience, self.end)
        else:
            self.end()


class Sessions:
    """All clients of a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._sessions: dict[str, HttpSession] = {}
        self.sessionless = Sessionless(worker)

    def open(self) -> HttpSession:
        """Open a session."""
        return HttpSession(self._worker, self._sessions)

    def named(self, id: str) -> HttpSession:
        """Return a session by its id. Raises `Refused` with 404."""
        session = self._sessions.get(id)
        if session is None:
            raise Refused(
                404, f"there is no session `{id}`, or no longer: open one with GET /runtime/events"
            )
        return session

    def client_of(self, query: bytes) -> HttpSession | Sessionless:
        """Return the client of a request with this query string. Raises `Refused` with 404."""
        if not query or not (ids := parse_qs(query.decode("latin-1")).get("sessionId")):
            return self.sessionless
        return self.named(ids[0])

    def close(self) -> None:
        """End all streams, and those that open later too: none must delay the end of the worker."""
        self._worker.leaving = True
        for session in list(self._sessions.values()):
            session.end_stream()
