"""Answers that were sent, for a client that finds out later that they did not arrive."""

import time
from collections import OrderedDict

from stepflow.worker._http.executes import TaskRef

OVERHEAD = 512
"""About what an entry takes beside the answer, in bytes."""


class KeptAnswers:
    """The last answers of a session, bounded in time and in bytes."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: OrderedDict[TaskRef, tuple[float, bytes]] = OrderedDict()

    def keep(self, task: TaskRef, answer: bytes) -> None:
        """Keep an answer, and let go of those that are too old or too much."""
        self._forget(task)
        self._answers[task] = (time.monotonic() + self._seconds, answer)
        self._bytes += len(answer) + OVERHEAD
        self._let_go()

    def get(self, task: TaskRef) -> bytes | None:
        """Return an answer that is still kept."""
        self._let_go()
        kept = self._answers.get(task)
        return None if kept is None else kept[1]

    def _let_go(self) -> None:
        now = time.monotonic()
        while self._answers:
            oldest = next(iter(self._answers))
            if self._bytes <= self._max_bytes and self._answers[oldest][0] > now:
                return
            self._forget(oldest)

    def _forget(self, task: TaskRef) -> None:
        if (kept := self._answers.pop(task, None)) is not None:
            self._bytes -= len(kept[1]) + OVERHEAD
