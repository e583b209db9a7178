"""Shares a worker's capacity among several servers: each keeps to the limit, but together they may exceed it."""

import threading
from time import monotonic

from stepflow.worker._executing.execution import Execution

ROOM_KEPT = 1.0
"""How long room is kept for a session that was refused, in seconds. A server asks again sooner."""


class Capacity:
    """Counts the open executes of each session, without those that wait for a run."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._holders: dict[Execution, object] = {}
        self._paused: dict[Execution, object] = {}
        self._refused: dict[object, float] = {}

    def admit(self, execution: Execution, session: object, *, refusable: bool) -> bool:
        """Count an execution and return True, or return False when there is no room for it.

        refusable: whether its server asks again later; if not, it is always admitted, and waits.
        """
        with self._lock:
            self._forget_old_refusals()
            if refusable and not self._has_room_for(session):
                self._refused[session] = monotonic()
                return False
            self._refused.pop(session, None)
            self._holders[execution] = session
            return True

    def pause(self, execution: Execution) -> None:
        """Do not count an execution while it waits for a run."""
        self._move(execution, self._holders, self._paused)

    def resume(self, execution: Execution) -> None:
        """Count it again, unless it is answered."""
        self._move(execution, self._paused, self._holders)

    def end(self, execution: Execution) -> None:
        """Stop counting it: it is answered."""
        with self._lock:
            self._holders.pop(execution, None)
            self._paused.pop(execution, None)

    def _move(
        self, execution: Execution, here: dict[Execution, object], there: dict[Execution, object]
    ) -> None:
        with self._lock:
            if (session := here.pop(execution, None)) is not None:
                there[execution] = session

    def _forget_old_refusals(self) -> None:
        if self._refused:
            since = monotonic() - ROOM_KEPT
            self._refused = {each: at for each, at in self._refused.items() if at > since}

    def _has_room_for(self, session: object) -> bool:
        if len(self._holders) >= self._limit:
            return False
        if not self._refused.keys() - {session}:
            return True
        # Others wait for room: the session that asks first gets no more than its share.
        held = list(self._holders.values())
        share = self._limit // len({session, *held, *self._refused})
        return held.count(session) < max(share, 1)
