"""The messages of an execute to its client. Any thread puts them; the transport's loop takes them."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from stepflow.protocol import MessageId, decode, frame
from stepflow.worker._http.asgi import ClientGone
from stepflow.worker.errors import ServerNotReading


class OutgoingMessage(NamedTuple):
    """A framed message of an execute."""

    line: bytes
    is_last: bool
    """Whether it is the answer."""


class Outbox:
    """The messages of one execute on their way to its client: its requests, and last its answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, unsent_bytes: int) -> None:
        """unsent_bytes: how much may wait for the client before the component's requests fail."""
        self.answer_to: MessageId | None = None
        """The id under which a client has asked again."""
        self._loop = loop
        self._limit = unsent_bytes
        self._lock = threading.Lock()
        self._requests: deque[bytes] = deque()
        self._unsent = 0
        self.answered: bytes | None = None
        """The answer, once there is one."""
        self._waiter: asyncio.Future[None] | None = None
        self._turns = 0
        self._turn = 0

    @property
    def is_read(self) -> bool:
        """Whether there is a client that reads."""
        return self._turn != 0

    def ask(self, line: bytes) -> None:
        """Put a request, from any thread. Raises `ServerNotReading` when too much waits already."""
        with self._lock:
            if self._unsent > self._limit:
                raise ServerNotReading(self._unsent)
            self._requests.append(line)
            self._unsent += len(line)
        self._wake()

    def answer(self, line: bytes) -> None:
        """Put the answer, from any thread."""
        self.answered = line
        self._wake()

    def begin(self, unanswered: Iterable[bytes] | None = None) -> int:
        """Begin a client's turn to read, and return its number. An earlier turn ends.

        unanswered: the requests that have no answer yet, for a client that comes back.
        """
        with self._lock:
            if unanswered is not None:
                self._requests = deque(unanswered)
                self._unsent = sum(map(len, self._requests))
            self._turns += 1
            self._turn = self._turns
        self._wake()
        return self._turn

    def end(self, turn: int) -> None:
        """End a turn: its client does not read any more."""
        if turn == self._turn:
            self._turn = 0
            self._wake()

    async def take(self, turn: int) -> OutgoingMessage:
        """Wait for the next message. Raises `ClientGone` once the turn is over."""
        while True:
            with self._lock:
                if turn != self._turn:
                    raise ClientGone
                if self._requests:
                    line = self._requests.popleft()
                    self._unsent -= len(line)
                    return OutgoingMessage(line, is_last=False)
                if self.answered is not None:
                    return OutgoingMessage(self._addressed(self.answered), is_last=True)
                self._waiter = waiter = self._loop.create_future()
            await waiter

    def _addressed(self, answer: bytes) -> bytes:
        if self.answer_to is None:
            return answer
        message = decode(answer)
        message.id = self.answer_to
        return frame(message)

    def _wake(self) -> None:
        with self._lock:
            waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        if asyncio._get_running_loop() is self._loop:
            _complete(waiter)
            return
        try:
            self._loop.call_soon_threadsafe(_complete, waiter)
        except RuntimeError:
            pass  # the loop is closed: the worker has ended


def _complete(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
