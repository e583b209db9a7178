"""The end of a worker: what brings it about, and a thread that sees to it that it comes in time.

The thread needs no event loop. A component may block one for ever, and then nothing would hear that the input has ended,
nor a signal.
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
"""How long a loop may be busy when the time is over, before it counts as blocked, in seconds."""

CLEANUP = 5.0
"""How long the lifespan may then take to be left, in seconds."""

_LONGEST_WAIT = 3600.0  # sockets wait no longer than some weeks
_NUDGE = b"\0"  # the number of no signal


class End:
    """A block in which a worker serves, and what ends it: a signal, or the end of the input.

    The first signal gives what is open its time; the next one does what it does by itself, and ends the process at once.
    """

    def __init__(self, drain_timeout: float | None, signals: Iterable[int]) -> None:
        """drain_timeout: how long what is open may go on, in seconds, instead of what is usual.
        signals: those that bring the end; not on Windows, and not off the main thread, where whoever runs us cancels us.
        """
        self.loops = [asyncio.get_running_loop()]
        """Those that must be free for an end in order: first the one that this is used on."""
        self.executor: Executor | None = None
        """Who runs executes, once there can be some."""
        self.began = asyncio.Event()
        self._settled = asyncio.Event()
        self._left = threading.Event()
        self._drain_timeout = drain_timeout
        self._deadline: float | None = None
        self._lock = threading.Lock()
        self._signals = frozenset(signals) if _takes_signals() else frozenset()
        self._has_heard_one = False
        self._ear, self._mouth = socket.socketpair()
        # A daemon, as the worker may be ended by what stops its threads in any order.
        self._thread = threading.Thread(target=self._watch, name="stepflow-end", daemon=True)

    def __enter__(self) -> Self:
        self._mouth.setblocking(False)
        for each in (self._ear, self._mouth):
            keep_from_children(each.fileno())
        keep_loop_from_children(self.loops[0])
        self._handlers = {each: signal.signal(each, self._handle) for each in self._signals}
        if self._signals:
            # Python's own handlers wait until the main thread is out of the C code that it is in; what is written here
            # is read at once. An event loop may hear its signals by what was set before.
            self._woken = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
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
            if (current := signal.set_wakeup_fd(self._woken)) != self._mouth.fileno():
                signal.set_wakeup_fd(current)  # somebody else's by now
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        forget(self._mouth.fileno())
        self._mouth.close()  # which the thread hears
        self._thread.join()
        forget(self._ear.fileno())
        self._ear.close()

    @property
    def has_begun(self) -> bool:
        """Whether it is the end; known before any loop has seen it."""
        return self._deadline is not None

    def within(self, grace: float) -> None:
        """Begin the end, and have it come within some seconds; from any thread. The earliest time counts."""
        grace = grace if self._drain_timeout is None else self._drain_timeout
        with self._lock:
            deadline = time.monotonic() + grace
            if self._deadline is None or deadline < self._deadline:
                self._deadline = deadline
        if self.executor is not None:
            self.executor.drain()
        self._on_loop(self.loops[0], self.began.set)
        with contextlib.suppress(OSError):  # it is over, or the thread has enough to read
            self._mouth.send(_NUDGE)

    async def drained(self, executor: Executor) -> list[str]:
        """Wait for the end, and until nothing is open; the components of what still is when the time is over."""
        try:
            await self.began.wait()
            executor.drain()
            executor.when_idle(partial(self._on_loop, self.loops[0], self._settled.set))
            await self._settled.wait()
        finally:
            executor.abandon()
        unfinished = executor.open_components()
        if unfinished:
            log.warning("%s", _said_of(unfinished))
        return unfinished

    def _handle(self, number: int, frame: FrameType | None) -> None:
        for each in self._signals:
            signal.signal(each, signal.SIG_DFL)
        # The thread may not hear of it: whoever sets a wakeup fd takes ours away.
        self.within(SIGNAL_GRACE)

    def _watch(self) -> None:
        while (left := self._time_left()) > 0:
            self._ear.settimeout(left)
            try:
                heard = self._ear.recv(64)
            except TimeoutError:
                continue
            if not heard:
                return  # it has come in order
            for number in heard:
                self._heard(number)
        self._end_loops()

    def _heard(self, number: int) -> None:
        if number in self._signals:
            if self._has_heard_one:
                _end_by(number)
            self._has_heard_one = True
            self.within(SIGNAL_GRACE)
        if number and self._woken != -1:
            with contextlib.suppress(OSError):
                os.write(self._woken, bytes([number]))

    def _time_left(self) -> float:
        deadline = self._deadline
        return (
            _LONGEST_WAIT if deadline is None else min(deadline - time.monotonic(), _LONGEST_WAIT)
        )

    def _end_loops(self) -> None:
        """The time is over: end in order if the loops can do that, else at once."""
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
        # Not by `logging` or `sys.stderr`, whose locks may be held by what does not end.
        with contextlib.suppress(OSError):
            os.write(2, f"stepflow-worker: {_said_of(unfinished)}\n".encode())
        os._exit(0)

    @staticmethod
    def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: we have ended already
            loop.call_soon_threadsafe(call)


def _takes_signals() -> bool:
    return os.name == "posix" and threading.current_thread() is threading.main_thread()


def _end_by(number: int) -> NoReturn:
    """Have a signal do what it does by itself, while the main thread is in C code and cannot ask for that."""
    import ctypes  # seldom needed, and slow to import

    ctypes.CDLL(None).signal(number, 0)
    # To this thread: sent to the process, it may arrive after the next line.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    signal.raise_signal(number)
    os._exit(128 + number)


def _said_of(unfinished: Iterable[str]) -> str:
    listed = ", ".join(sorted(set(unfinished)))
    return (
        f"ended with open executes of {listed}" if listed else "ended before the lifespan was left"
    )
