"""Decides which thread reads the input: the one that will also run what it reads.

Giving a small message to another thread costs about as much as all other work on it. So with sync
components the threads read in turn, and each runs the component whose message it has read. When all
components are async, the event loop reads, until a component blocks it.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from stepflow.protocol import LineSplitter, MessageTooLong
from stepflow.worker._executing.threads import Job, Threads
from stepflow.worker.errors import NoCapacity

log = logging.getLogger("stepflow.worker")

CHUNK = 1 << 16  # what a pipe holds

Line: TypeAlias = bytes | MessageTooLong


class Input:
    """The protocol's input. Only the thread that holds the lock `turn` may read it."""

    def __init__(
        self,
        fd: int,
        receive: Callable[[Line], None],
        ended: Callable[[], None],
    ) -> None:
        """receive: called with each line, from any thread.
        ended: called once, at the end of the input, from any thread.
        """
        self.fd = fd
        self.turn = threading.Lock()
        self.is_over = False
        self.receive = receive
        self._ended = ended
        self._splitter = LineSplitter()
        self._lines: deque[Line] = deque()

    def take_one(self) -> bool:
        """Wait for one message and handle it; False at the end of the input."""
        while not self._lines:
            if not self.read():
                return False
        self.receive(self._lines.popleft())
        return True

    def take_read(self) -> Line | None:
        """Return a message that has been read already, without handling it; None if there is none."""
        return self._lines.popleft() if self._lines else None

    def read(self) -> bool:
        """Read once, waiting if necessary; False at the end of the input."""
        try:
            chunk = b"" if self.is_over else os.read(self.fd, CHUNK)
        except OSError as error:
            log.warning("the input cannot be read any more: %s", error)
            chunk = b""
        if not chunk and not self.is_over:
            self.is_over = True
            self._ended()
        self._lines.extend(self._splitter.feed(chunk))
        return not self.is_over


class ReadingThreads(Threads):
    """Threads that read in turn. A thread that has read a job lets another one read, and runs the job."""

    def __init__(self) -> None:
        super().__init__()
        self._reader: int | None = None
        self._taken: deque[Job] = deque()

    def read(self, input: Input) -> NoCapacity | None:
        """Begin to read, or return why not; then call it again later."""
        self._input = input
        return self._begin(self._read)

    def submit(self, job: Job) -> None:
        if threading.get_ident() == self._reader:
            self._taken.append(job)
        else:
            super().submit(job)

    def _read(self) -> None:
        while True:
            with self._input.turn:
                job = self._next_job()
            if job is None:
                return
            if (problem := self._begin(self._read)) is None:
                return job.run()
            job.refuse(problem)  # not run here: this thread must go on reading

    def _next_job(self) -> Job | None:
        """Read until a message is a job for this thread; None at the end of the input."""
        self._reader = threading.get_ident()
        try:
            while not self._taken:
                if not self._input.take_one():
                    return None
        finally:
            self._reader = None
        job = self._taken.popleft()
        while self._taken:  # one message rarely starts several jobs
            super().submit(self._taken.popleft())
        return job


def read_on_loop(loop: asyncio.AbstractEventLoop, input: Input) -> bool:
    """Have the loop read, until a thread takes the turn.

    Returns False when the loop cannot wait for this kind of input: a file, or a pipe on Windows.
    """

    def readable() -> None:
        line = next_line(read=True)
        while line is not None:
            # Without holding the turn: a component may run here, and block.
            input.receive(line)
            line = next_line(read=False)

    def next_line(*, read: bool) -> Line | None:
        if not input.turn.acquire(blocking=False):
            loop.remove_reader(input.fd)  # from now on threads read
            return None
        try:
            line = input.take_read()
            if line is None and read and not input.read():
                loop.remove_reader(input.fd)
            return line or input.take_read()
        finally:
            input.turn.release()

    try:
        loop.add_reader(input.fd, readable)
    except (NotImplementedError, OSError):
        return False
    return True
