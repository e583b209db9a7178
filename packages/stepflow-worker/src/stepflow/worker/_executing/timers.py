"""Calls functions after some time, on a separate thread: no component can delay them."""

import heapq
import threading
import time
from collections.abc import Callable

_SWEEP_ABOVE = 64


class Timer:
    """One call that is due at a later time."""

    __slots__ = ("_timers", "callback", "due")

    def __init__(self, timers: "Timers", due: float, callback: Callable[[], None]) -> None:
        self._timers = timers
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Prevent the call; does nothing after the call."""
        if self.callback is not None:
            self.callback = None
            self._timers.cancelled()

    def __lt__(self, other: "Timer") -> bool:
        return self.due < other.due


class Timers:
    """Calls back when time has passed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[Timer] = []
        self._cancelled = 0
        # Started now: later the system may allow no more threads.
        threading.Thread(target=self._run, name="stepflow-timers", daemon=True).start()

    def __len__(self) -> int:
        """Return how many timers are kept, including some that were cancelled."""
        return len(self._heap)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once, after some seconds. The callback must be short, and must not raise."""
        timer = Timer(self, time.monotonic() + seconds, callback)
        with self._changed:
            heapq.heappush(self._heap, timer)
            if self._heap[0] is timer:
                self._changed.notify()
        return timer

    def cancelled(self) -> None:
        """Count a cancelled timer; when most timers are cancelled, these are removed."""
        with self._changed:
            self._cancelled += 1
            if self._cancelled > max(_SWEEP_ABOVE, len(self._heap) // 2):
                self._heap = [each for each in self._heap if each.callback is not None]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def _run(self) -> None:
        while True:
            callback = self._next_due()
            if callback is not None:
                callback()
                del callback  # otherwise it would keep its execute in memory until the next call

    def _next_due(self) -> Callable[[], None] | None:
        with self._changed:
            wait = self._heap[0].due - time.monotonic() if self._heap else None
            if wait is None or wait > 0:
                self._changed.wait(None if wait is None else min(wait, threading.TIMEOUT_MAX))
                return None
            timer = heapq.heappop(self._heap)
            callback, timer.callback = timer.callback, None
            if callback is None:
                self._cancelled -= 1
            return callback
