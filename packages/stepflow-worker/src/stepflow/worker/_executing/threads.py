"""Threads that run jobs: a free one where there is one, else one more, as long as there can be more."""

import threading
from collections.abc import Callable
from typing import Protocol

from stepflow.worker.errors import NoCapacity

MOST = 1024
"""How many there may be. Only components that wait for runs of their own need that many."""

KEPT = 32
"""How many stay for what comes next."""


class Job(Protocol):
    """Something to do on a thread. Neither method may raise."""

    def run(self) -> None:
        """Do it."""

    def refuse(self, problem: NoCapacity) -> None:
        """Do without: there is no thread for it."""


class Threads:
    """Runs jobs. Never raises: a job that no thread can be had for is refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[_Seat] = []
        self._alive = 0
        self._started = 0

    def submit(self, job: Job) -> None:
        """Do a job, from any thread."""
        if (problem := self._begin(job.run)) is not None:
            job.refuse(problem)

    def _begin(self, call: Callable[[], None]) -> NoCapacity | None:
        """Call something on another thread, unless there is a problem."""
        with self._lock:
            if self._free:
                seat = self._free.pop()  # who was busy last is the quickest to wake
                seat.call = call
                seat.taken.release()
                return None
            if self._alive >= MOST:
                return NoCapacity(
                    f"all {MOST} of its threads are taken, most by executes that wait for runs of their own\n"
                    "hint: make the component an `async def`, which needs no thread"
                )
            self._alive += 1
            self._started += 1
        # Daemon threads: a component that never returns must not keep the process alive.
        name = f"stepflow-component-{self._started}"
        try:
            threading.Thread(target=self._run, args=(_Seat(call),), name=name, daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            with self._lock:
                self._alive -= 1
            return NoCapacity(str(error) or type(error).__name__)
        return None

    def _run(self, seat: "_Seat") -> None:
        while seat.call is not None:
            seat.call()
            seat.call = None  # or a free thread would keep its last input alive
            with self._lock:
                if len(self._free) >= KEPT:
                    self._alive -= 1
                    return
                self._free.append(seat)
            seat.taken.acquire()


class _Seat:
    """Where a thread waits for what it does next."""

    __slots__ = ("call", "taken")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call
        self.taken = threading.Lock()
        self.taken.acquire()
