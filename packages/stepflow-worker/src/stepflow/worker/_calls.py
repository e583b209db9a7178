"""The requests that components send to the server, until their answers arrive."""

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
    """Matches answers with the requests that were sent. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._pending: dict[str, _Call] = {}
        self._closed = False

    def send(
        self, write: Callable[[bytes], None], method: Method, params: object, result: type[T]
    ) -> "Future[T]":
        """Send a request. Its future is done, from any thread, when the answer has arrived.

        The future raises `RequestRefused`, `UnusableAnswer`, `ServerGone`, or what `write` raises.
        """
        id = str(uuid.uuid4())
        line = frame(Request(id, method, params))
        call = _Call(method, result, line, write)
        # A caller that stops waiting cancels its future, which ends the entry as well.
        call.future.add_done_callback(lambda _: self._pending.pop(id, None))
        self._pending[id] = call
        if self._closed:  # checked after the entry is made, so that `close` misses no call
            call.fail(ServerGone(method))
            return call.future
        try:
            write(line)
        except ServerCallError as error:
            call.fail(error)
        return call.future

    def unanswered(self, write: Callable[[bytes], None]) -> list[bytes]:
        """Return the requests that `write` has sent and that still wait, in the order of sending."""
        return [each.line for each in list(self._pending.values()) if each.write == write]

    def take_answer(self, envelope: Envelope) -> None:
        """Give an answer to the request that waits for it."""
        call = self._pending.pop(envelope.id, None) if isinstance(envelope.id, str) else None
        if call is None:
            problem = envelope.error.message if envelope.error else "a result"
            log.warning("an answer to no request of ours (id %r): %s", envelope.id, problem)
        else:
            call.take(envelope)

    def close(self) -> None:
        """Fail all requests that still wait: no answer can arrive any more."""
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
        assert envelope.result is not UNSET  # `decode` refuses answers that have neither
        try:
            result: object = msgspec.json.decode(envelope.result, type=self.result)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            return self.fail(UnusableAnswer(self.method, str(problem)))
        try:
            self.future.set_result(result)
        except InvalidStateError:
            pass  # the caller does not wait any more

    def fail(self, error: Exception) -> None:
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            pass  # the caller does not wait any more
