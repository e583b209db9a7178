"""Who has the places of a worker that several servers use: each keeps to the limit, and together they may exceed it."""

import threading
from time import monotonic

from stepflow.worker._executing.execution import Execution

HUNGRY = 1.0
"""How long room is kept for a session that was refused, in seconds. A server asks again before."""


class Capacity:
    """Counts the executes that are not answered, but for those that wait for a run, by their sessions."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._holders: dict[Execution, object] = {}
        self._paused: dict[Execution, object] = {}
        self._refused: dict[object, float] = {}

    def let_in(self, execution: Execution, session: object, *, refusable: bool) -> bool:
        """Take an execution in; one that is not refusable always, to wait for its turn."""
        with self._lock:
            if refusable and self._is_full_for(session):
                self._refused[session] = monotonic()
                return False
            self._refused.pop(session, None)
            self._holders[execution] = session
            return True

    def pause(self, execution: Execution) -> None:
        """It waits for a run."""
        self._move(execution, self._holders, self._paused)

    def resume(self, execution: Execution) -> None:
        """It goes on, unless it is answered."""
        self._move(execution, self._paused, self._holders)

    def end(self, execution: Execution) -> None:
        """It is answered."""
        with self._lock:
            self._holders.pop(execution, None)
            self._paused.pop(execution, None)

    def _move(
        self, execution: Execution, here: dict[Execution, object], there: dict[Execution, object]
    ) -> None:
        with self._lock:
            if (session := here.pop(execution, None)) is not None:
                there[execution] = session

    def _is_full_for(self, session: object) -> bool:
        if len(self._holders) >= self._limit:
            return True
        since = monotonic() - HUNGRY
        self._refused = {each: at for each, at in self._refused.items() if at > since}
        if not self._refused.keys() - {session}:
            return False
        # Room that becomes free is not all for the one that notices it first.
        held = list(self._holders.values())
        share = self._limit // len({session, *held, *self._refused})
        return held.count(session) >= max(share, 1)
