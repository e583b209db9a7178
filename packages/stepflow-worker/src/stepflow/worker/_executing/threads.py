"""Threads that run jobs: a free thread if there is one, otherwise a new one, up to a limit."""

import threading
from collections.abc import Callable
from typing import Protocol

from stepflow.worker.errors import NoCapacity

MOST = 1024
"""How many threads there may be. Only components that wait for runs need that many."""

KEPT = 32
"""How many free threads are kept for later jobs."""


class Job(Protocol):
    """Something to do on a thread. Neither method may raise."""

    def run(self) -> None:
        """Do the job on a separate thread."""

    def refuse(self, problem: NoCapacity) -> None:
        """Called instead of `run` when there is no thread for the job."""


class Threads:
    """Runs jobs. Never raises: a job is refused when there is no thread for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[_Slot] = []
        self._alive = 0
        self._started = 0

    def submit(self, job: Job) -> None:
        """Run a job on a thread. May be called from any thread."""
        if (problem := self._begin(job.run)) is not None:
            job.refuse(problem)

    def _begin(self, call: Callable[[], None]) -> NoCapacity | None:
        """Call something on another thread, or return why there is none."""
        with self._lock:
            if self._free:
                slot = self._free.pop()  # the thread that was busy last wakes the fastest
                slot.call = call
                slot.taken.release()
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
            threading.Thread(target=self._run, args=(_Slot(call),), name=name, daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            with self._lock:
                self._alive -= 1
            return NoCapacity(str(error) or type(error).__name__)
        return None

    def _run(self, slot: "_Slot") -> None:
        while slot.call is not None:
            slot.call()
            slot.call = None  # otherwise a free thread would keep its last input in memory
            with self._lock:
                if len(self._free) >= KEPT:
                    self._alive -= 1
                    return
                self._free.append(slot)
            slot.taken.acquire()


class _Slot:
    """What a thread does now, and a lock on which it waits for its next call."""

    __slots__ = ("call", "taken")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call
        self.taken = threading.Lock()
        self.taken.acquire()
