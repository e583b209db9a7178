"""Open executes, and what happens to them when their client disconnects."""

from asyncio import TimerHandle
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from stepflow.protocol import Envelope, ErrorCode, MessageId
from stepflow.worker._executing.execution import Execution
from stepflow.worker._executing.failures import Ending
from stepflow.worker._http.outbox import Outbox
from stepflow.worker._http.worker import Worker
from stepflow.worker._session import Session


class TaskRef(NamedTuple):
    """One attempt of a task. Requests with the same one mean the same execute, on any connection."""

    task_id: str
    attempt: int


class HttpExecute:
    """An execute, and the outbox from which its client reads."""

    def __init__(
        self,
        worker: Worker,
        session: Session,
        patience: float = 0,
        when_over: Callable[[bytes | None], None] = lambda _: None,
    ) -> None:
        """patience: how many seconds it goes on without a client; with 0 it ends at once.
        when_over: called with the answer once that was sent; with None when the execute was
        refused, and when no client came back for it.
        """
        self.outbox = Outbox(worker.loop, worker.limits.unsent_bytes)
        self._worker = worker
        self._session = session
        self._patience = patience
        self._when_over = when_over
        self._giving_up: TimerHandle | None = None
        self._execution: Execution | None = None

    def start(self, message: Envelope) -> int:
        """Give it to the executor, and begin the turn of its first client; returns that turn."""
        self._execution = self._session.handle(message, self.outbox.answer, self.outbox.ask)
        return self.outbox.begin()

    def begin_again(self, id: MessageId | None) -> int:
        """Begin a turn for a client that comes back; it gets the unanswered requests again."""
        self._stop_waiting()
        self.outbox.answer_to = id
        return self.outbox.begin(self._session.calls.unanswered(self.outbox.ask))

    def delivered(self) -> None:
        """Note that its client has the answer."""
        ran = self._execution is not None
        self._when_over(self.outbox.answered if ran else None)

    def client_left(self) -> None:
        """Wait for another client, unless there is one already; without `patience` give up."""
        if self.outbox.is_read:
            return
        if self._patience:
            self._giving_up = self._worker.loop.call_later(self._patience, self.give_up)
        else:
            self.give_up()

    def give_up(self) -> None:
        """End the execute: no client is waited for any more."""
        self._stop_waiting()
        if self._execution is not None:
            ending = Ending(ErrorCode.CANCELLED, "the server closed the connection")
            self._worker.executor.end(self._execution, ending)
        self._when_over(None)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


class TransportParams(msgspec.Struct):
    """The params of an execute that the transport itself reads."""

    component: str | None = None
    task_id: str | None = None
    attempt: int = 0

    @property
    def task(self) -> TaskRef | None:
        """The attempt, for a server that names it."""
        return None if self.task_id is None else TaskRef(self.task_id, self.attempt)


_params = msgspec.json.Decoder(TransportParams)


def transport_params(message: Envelope) -> TransportParams:
    """Read the params of an execute; the defaults when they cannot be read."""
    try:
        return _params.decode(message.params) if message.params else TransportParams()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return TransportParams()
