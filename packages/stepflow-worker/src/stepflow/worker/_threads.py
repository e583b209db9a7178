"""Threads for sync components. Leaner than `ThreadPoolExecutor`: nobody waits for a future here."""

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Job = TypeVar("Job")


class WorkerThreads(Generic[Job]):
    """Starts a thread whenever none is idle; how many jobs there are is bounded by the caller."""

    def __init__(self, work: Callable[[Job], None]) -> None:
        """`work` is what a thread does with a job. It must not raise."""
        self._work = work
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        # One entry per thread that waits and is not yet spoken for. Its operations are atomic.
        self._idle: deque[None] = deque()
        self._started = 0

    def submit(self, job: Job) -> None:
        """Do a job on another thread."""
        try:
            self._idle.pop()
        except IndexError:
            self._start()
        self._jobs.put(job)

    def _start(self) -> None:
        self._started += 1
        # Daemon threads: a component that never returns must not keep the process alive.
        name = f"stepflow-component-{self._started}"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            self._work(job)
            del job  # or an idle thread would keep its last input alive
            self._idle.append(None)
