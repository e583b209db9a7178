"""Threads that run jobs: a free one where there is one, else one more."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

Job: TypeAlias = Callable[[], None]
"""Something to do on a thread. It must not raise."""


class Threads:
    """Runs jobs. How many there are at once is bounded by the caller."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0
        self._started = 0

    def submit(self, job: Job) -> None:
        """Do a job, from any thread."""
        with self._lock:
            is_one_free = self._free > 0
            if is_one_free:
                self._free -= 1
            else:
                self._started += 1
        if is_one_free:
            self._jobs.put(job)
            return
        # Daemon threads: a component that never returns must not keep the process alive.
        name = f"stepflow-component-{self._started}"
        threading.Thread(target=self._run, args=(job,), name=name, daemon=True).start()

    def _run(self, job: Job) -> None:
        while True:
            job()
            del job  # or a free thread would keep its last input alive
            with self._lock:
                self._free += 1
            job = self._jobs.get()
