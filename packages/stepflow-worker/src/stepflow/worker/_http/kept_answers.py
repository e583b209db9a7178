"""Keeps answers that were sent, for a client that did not receive them and asks again."""

import time
from collections import OrderedDict

from stepflow.worker._http.executes import TaskRef

OVERHEAD = 512
"""About how much memory an entry takes besides the answer, in bytes."""


class KeptAnswers:
    """The last answers of a session, bounded in time and in bytes."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: OrderedDict[TaskRef, tuple[float, bytes]] = OrderedDict()

    def keep(self, task: TaskRef, answer: bytes) -> None:
        """Keep an answer, and drop the oldest ones that are out of time or exceed the limit."""
        self._forget(task)
        self._answers[task] = (time.monotonic() + self._seconds, answer)
        self._bytes += len(answer) + OVERHEAD
        self._drop_old()

    def get(self, task: TaskRef) -> bytes | None:
        """Return the answer of a task's attempt; None when it is not kept, or no longer."""
        self._drop_old()
        kept = self._answers.get(task)
        return None if kept is None else kept[1]

    def _drop_old(self) -> None:
        now = time.monotonic()
        while self._answers:
            oldest = next(iter(self._answers))
            if self._bytes <= self._max_bytes and self._answers[oldest][0] > now:
                return
            self._forget(oldest)

    def _forget(self, task: TaskRef) -> None:
        if (kept := self._answers.pop(task, None)) is not None:
            self._bytes -= len(kept[1]) + OVERHEAD
