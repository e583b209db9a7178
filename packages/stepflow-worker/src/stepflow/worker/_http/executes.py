"""Open executes, and what becomes of them when their client leaves."""

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
    """Names one attempt of a task: the same execute, whatever connection it comes by."""

    task_id: str
    attempt: int


class HttpExecute:
    """An execute, and the outbox from which its client reads."""

    def __init__(
        self,
        worker: Worker,
        session: Session,
        patience: float = 0,
        over: Callable[[bytes | None], None] = lambda _: None,
    ) -> None:
        """patience: how long it goes on without a client, in seconds.
        over: called with its answer once that was sent; without one when it was refused, and when
        nobody came for it.
        """
        self.outbox = Outbox(worker.loop, worker.limits.unsent_bytes)
        self._worker = worker
        self._session = session
        self._patience = patience
        self._over = over
        self._giving_up: TimerHandle | None = None
        self._execution: Execution | None = None

    def start(self, message: Envelope) -> int:
        """Hand it to the executor, and begin the turn of its first client."""
        self._execution = self._session.take(message, self.outbox.answer, self.outbox.ask)
        return self.outbox.begin()

    def begin_again(self, id: MessageId | None) -> int:
        """Begin a turn for a client that comes back, with what the one before may have missed."""
        self._stop_waiting()
        self.outbox.answer_to = id
        return self.outbox.begin(self._session.calls.unanswered(self.outbox.ask))

    def delivered(self) -> None:
        """Its client has the answer."""
        ran = self._execution is not None
        self._over(self.outbox.answered if ran else None)

    def left(self) -> None:
        """Its client has gone, and perhaps another has taken its place."""
        if self.outbox.is_read:
            return
        if self._patience:
            self._giving_up = self._worker.loop.call_later(self._patience, self.give_up)
        else:
            self.give_up()

    def give_up(self) -> None:
        """Wait for no client any more."""
        self._stop_waiting()
        if self._execution is not None:
            ending = Ending(ErrorCode.CANCELLED, "the server closed the connection")
            self._worker.executor.end(self._execution, ending)
        self._over(None)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


class Asked(msgspec.Struct):
    """What of an execute's params must be known before it runs."""

    component: str | None = None
    task_id: str | None = None
    attempt: int = 0

    @property
    def task(self) -> TaskRef | None:
        """The attempt, for a server that names it."""
        return None if self.task_id is None else TaskRef(self.task_id, self.attempt)


_asked = msgspec.json.Decoder(Asked)


def asked(message: Envelope) -> Asked:
    """Read the params of an execute as far as they can be read."""
    try:
        return _asked.decode(message.params) if message.params else Asked()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Asked()
