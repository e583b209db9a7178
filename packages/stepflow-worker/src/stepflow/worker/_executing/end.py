"""The end of a worker: what starts it, and a thread that makes sure that it is over in time.

The thread needs no event loop. A component may block the loop for ever, and then the loop would notice neither a signal
nor the end of the input.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from types import FrameType, TracebackType
from typing import NoReturn, Self

from stepflow.worker._executing.executor import Executor
from stepflow.worker._executing.forked import (
    forget,
    forget_loop,
    keep_from_children,
    keep_loop_from_children,
)

log = logging.getLogger("stepflow.worker")

SIGNAL_GRACE = 30.0
"""How long open executes may go on after the first signal, in seconds."""

ALIVE_WITHIN = 1.0
"""When the time is over, a loop that does nothing for this many seconds counts as blocked."""

CLEANUP = 5.0
"""How long the exit of the lifespan may then take, in seconds."""

_LONGEST_WAIT = 3600.0  # a socket's timeout is limited to some weeks
_WAKE = b"\0"  # no signal has this number


class End:
    """A block in which a worker serves, until a signal arrives or the input ends.

    After the first signal the open executes get some time. The second one has its default effect, which ends the process
    at once.
    """

    def __init__(self, drain_timeout: float | None, signals: Iterable[int]) -> None:
        """drain_timeout: how long open executes may go on, in seconds; None for the default of what starts the end.
        signals: those that start the end. This handles none on Windows or outside of the main thread: there the caller
        cancels the task instead.
        """
        self.loops = [asyncio.get_running_loop()]
        """The loops that must react for a regular end. The first one is the loop of this block."""
        self.executor: Executor | None = None
        """What runs the executes; None until it exists."""
        self.began = asyncio.Event()
        self._settled = asyncio.Event()
        self._left = threading.Event()
        self._drain_timeout = drain_timeout
        self._deadline: float | None = None
        self._lock = threading.Lock()
        self._signals = frozenset(signals) if _takes_signals() else frozenset()
        self._has_had_signal = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        # A daemon: the interpreter may exit without leaving this block.
        self._thread = threading.Thread(target=self._watch, name="stepflow-end", daemon=True)

    def __enter__(self) -> Self:
        self._wake_writer.setblocking(False)
        for each in (self._wake_reader, self._wake_writer):
            keep_from_children(each.fileno())
        keep_loop_from_children(self.loops[0])
        self._handlers = {each: signal.signal(each, self._handle) for each in self._signals}
        if self._signals:
            # Python runs its handlers only when the main thread returns from C code; what is written here is read at
            # once. The descriptor that was set before may be an event loop's, which needs the signals as well.
            self._earlier_wakeup_fd = signal.set_wakeup_fd(
                self._wake_writer.fileno(), warn_on_full_buffer=False
            )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left.set()
        forget_loop(self.loops[0])
        if self._signals:
            if (
                current := signal.set_wakeup_fd(self._earlier_wakeup_fd)
            ) != self._wake_writer.fileno():
                signal.set_wakeup_fd(current)  # other code has replaced ours
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        forget(self._wake_writer.fileno())
        self._wake_writer.close()  # the thread reads the end of the stream
        self._thread.join()
        forget(self._wake_reader.fileno())
        self._wake_reader.close()

    @property
    def has_begun(self) -> bool:
        """Whether the end has begun; true before any loop has noticed it."""
        return self._deadline is not None

    def end_within(self, grace: float) -> None:
        """Begin the end, which is over after `grace` seconds at most; from any thread. The earliest deadline counts."""
        grace = grace if self._drain_timeout is None else self._drain_timeout
        with self._lock:
            deadline = time.monotonic() + grace
            if self._deadline is None or deadline < self._deadline:
                self._deadline = deadline
        if self.executor is not None:
            self.executor.drain()
        self._on_loop(self.loops[0], self.began.set)
        with contextlib.suppress(OSError):  # the block is over, or the thread has enough to read
            self._wake_writer.send(_WAKE)

    async def drained(self, executor: Executor) -> list[str]:
        """Wait until the end has begun and no execute is open, or the time is over.

        Returns the paths of the components whose executes are still open.
        """
        try:
            await self.began.wait()
            executor.drain()
            executor.when_idle(partial(self._on_loop, self.loops[0], self._settled.set))
            await self._settled.wait()
        finally:
            executor.abandon()
        unfinished = executor.open_components()
        if unfinished:
            log.warning("%s", _unfinished_text(unfinished))
        return unfinished

    def _handle(self, number: int, frame: FrameType | None) -> None:
        for each in self._signals:
            signal.signal(each, signal.SIG_DFL)
        # The thread may not be told: other code can set another wakeup fd.
        self.end_within(SIGNAL_GRACE)

    def _watch(self) -> None:
        while (left := self._time_left()) > 0:
            self._wake_reader.settimeout(left)
            try:
                received = self._wake_reader.recv(64)
            except TimeoutError:
                continue
            if not received:
                return  # the block has ended regularly
            for number in received:
                self._take_signal(number)
        self._end_loops()

    def _take_signal(self, number: int) -> None:
        if number in self._signals:
            if self._has_had_signal:
                _end_by(number)
            self._has_had_signal = True
            self.end_within(SIGNAL_GRACE)
        if number and self._earlier_wakeup_fd != -1:
            with contextlib.suppress(OSError):
                os.write(self._earlier_wakeup_fd, bytes([number]))

    def _time_left(self) -> float:
        deadline = self._deadline
        return (
            _LONGEST_WAIT if deadline is None else min(deadline - time.monotonic(), _LONGEST_WAIT)
        )

    def _end_loops(self) -> None:
        """The time is over: let the block end if the loops react, else end the process."""
        free = [threading.Event() for _ in self.loops]
        for loop, event in zip(self.loops, free, strict=True):
            self._on_loop(loop, event.set)
        self._on_loop(self.loops[0], self._settled.set)
        until = time.monotonic() + ALIVE_WITHIN
        if all(each.wait(until - time.monotonic()) for each in free) and self._left.wait(CLEANUP):
            return
        if self._left.is_set():
            return
        unfinished = [] if self.executor is None else self.executor.open_components()
        # Not with `logging` or `sys.stderr`: a component that does not end may hold their locks.
        with contextlib.suppress(OSError):
            os.write(2, f"stepflow-worker: {_unfinished_text(unfinished)}\n".encode())
        os._exit(0)

    @staticmethod
    def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
            loop.call_soon_threadsafe(call)


def _takes_signals() -> bool:
    return os.name == "posix" and threading.current_thread() is threading.main_thread()


def _end_by(number: int) -> NoReturn:
    """End by a signal's default effect. The main thread may be in C code, so it cannot set the handler."""
    import ctypes  # rarely needed, and slow to import

    ctypes.CDLL(None).signal(number, 0)
    # Sent to this thread: sent to the process, it might arrive after the next line.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    signal.raise_signal(number)
    os._exit(128 + number)


def _unfinished_text(unfinished: Iterable[str]) -> str:
    listed = ", ".join(sorted(set(unfinished)))
    return (
        f"ended with open executes of {listed}" if listed else "ended before the lifespan was left"
    )
