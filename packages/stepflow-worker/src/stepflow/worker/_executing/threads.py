"""Threads that run jobs: a free one where there is one, else one more."""

import threading
from collections.abc import Callable
from typing import TypeAlias

Job: TypeAlias = Callable[[], None]
"""Something to do on a thread. It must not raise."""


class Threads:
    """Runs jobs. How many there are at once is bounded by the caller."""

    def __init__(self) -> None:
        self._free: list[_Seat] = []
        self._started = 0

    def submit(self, job: Job) -> None:
        """Do a job, from any thread."""
        try:
            seat = self._free.pop()  # who was busy last is the quickest to wake
        except IndexError:
            self._start(job)
        else:
            seat.job = job
            seat.taken.release()

    def _start(self, job: Job) -> None:
        self._started += 1
        # Daemon threads: a component that never returns must not keep the process alive.
        name = f"stepflow-component-{self._started}"
        threading.Thread(target=self._run, args=(_Seat(job),), name=name, daemon=True).start()

    def _run(self, seat: "_Seat") -> None:
        while seat.job is not None:
            seat.job()
            seat.job = None  # or a free thread would keep its last input alive
            self._free.append(seat)
            seat.taken.acquire()


class _Seat:
    """Where a thread waits for its next job."""

    __slots__ = ("job", "taken")

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.taken = threading.Lock()
        self.taken.acquire()
