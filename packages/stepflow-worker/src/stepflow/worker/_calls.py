"""The requests that components make of the server, until their answers come."""

import logging
import uuid
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from stepflow.protocol import Envelope, Method, Request, RequestRefused, frame
from stepflow.worker.errors import ServerCallError, ServerGone, UnusableAnswer

T = TypeVar("T")

log = logging.getLogger("stepflow.worker")


class PendingCalls:
    """Matches what comes back with what was sent. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._pending: dict[str, _Call] = {}
        self._closed = False

    def send(
        self, write: Callable[[bytes], None], method: Method, params: object, result: type[T]
    ) -> "Future[T]":
        """Send a request; its future is done when the answer has arrived."""
        id = str(uuid.uuid4())
        line = frame(Request(id, method, params))
        call = _Call(method, result, line, write)
        # A caller that stops waiting cancels its future, which ends the entry as well.
        call.future.add_done_callback(lambda _: self._pending.pop(id, None))
        self._pending[id] = call
        if self._closed:  # looked at after the entry is made, so that no call slips past `close`
            call.fail(ServerGone(method))
            return call.future
        try:
            write(line)
        except ServerCallError as error:
            call.fail(error)
        return call.future

    def unanswered(self, write: Callable[[bytes], None]) -> list[bytes]:
        """Return the requests that went out by `write` and still wait, in their order."""
        return [each.line for each in list(self._pending.values()) if each.write == write]

    def answered(self, envelope: Envelope) -> None:
        """Hand an answer to the request that waits for it."""
        call = self._pending.pop(envelope.id, None) if isinstance(envelope.id, str) else None
        if call is None:
            problem = envelope.error.message if envelope.error else "a result"
            log.warning("an answer to no request of ours (id %r): %s", envelope.id, problem)
        else:
            call.take(envelope)

    def close(self) -> None:
        """Fail everything that still waits: no answer can come any more."""
        self._closed = True
        for call in list(self._pending.values()):
            call.fail(ServerGone(call.method))


class _Call:
    __slots__ = ("future", "line", "method", "result", "write")

    def __init__(
        self, method: Method, result: type, line: bytes, write: Callable[[bytes], None]
    ) -> None:
        self.method = method
        self.result = result
        self.line = line
        self.write = write
        self.future: Future[Any] = Future()

    def take(self, envelope: Envelope) -> None:
        if (error := envelope.error) is not None:
            return self.fail(RequestRefused(self.method, error.code, error.message, error.data))
        assert envelope.result is not UNSET  # `decode` lets no answer pass that has neither
        try:
            result: object = msgspec.json.decode(envelope.result, type=self.result)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            return self.fail(UnusableAnswer(self.method, str(problem)))
        try:
            self.future.set_result(result)
        except InvalidStateError:
            pass  # nobody waits any more

    def fail(self, error: Exception) -> None:
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            pass  # nobody waits any more
