"""Warns when a component blocks the event loop: no other async component runs meanwhile."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterable

from stepflow.worker._components.component import Component

log = logging.getLogger("stepflow.worker")

BLOCKED_AFTER = 1.0
"""How long the loop may be busy before a warning, in seconds."""


class LoopWatchdog:
    """Checks about once per second that the loop reacts, and only while it has work."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        components: Callable[[], Iterable[Component]],
        is_busy: Callable[[], bool],
    ) -> None:
        """components: returns those that are served at the moment of the call."""
        self._loop = loop
        self._loop_thread = 0
        self._components = components
        self._is_busy = is_busy
        self.when_blocked: Callable[[], bool] | None = None
        """Called when the loop is blocked; not again once it has returned True."""
        self._wanted = threading.Event()
        self._watching = False
        # Started now: later the system may allow no more threads.
        threading.Thread(target=self._run, name="stepflow-watchdog", daemon=True).start()

    def watch(self) -> None:
        """Begin to watch; to be called on the loop's thread. Does nothing when it watches already."""
        if self._watching:
            return
        self._watching = True
        self._loop_thread = threading.get_ident()
        self._wanted.set()

    def _run(self) -> None:
        pause = threading.Event()  # never set: used as a sleep that ends with the interpreter
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while self._is_busy():
                try:
                    self._check()
                except RuntimeError:
                    return  # the loop is closed
                pause.wait(BLOCKED_AFTER)
            self._watching = False
            if self._is_busy():  # work came just before the line above
                self._watching = True
                self._wanted.set()

    def _check(self) -> None:
        alive = threading.Event()
        self._loop.call_soon_threadsafe(alive.set)
        if not alive.wait(BLOCKED_AFTER):
            if self.when_blocked is not None and self.when_blocked():
                self.when_blocked = None
            who, where = self._blocker()
            log.warning(
                "%s has blocked the event loop for over %g s%s: no other async component runs "
                "meanwhile; make it a plain `def`, or await",
                who,
                BLOCKED_AFTER,
                where,
            )
            alive.wait()  # one warning per block is enough

    def _blocker(self) -> tuple[str, str]:
        paths = {each.code: each.path for each in self._components() if each.code is not None}
        frame = sys._current_frames().get(self._loop_thread)
        while frame is not None:
            if path := paths.get(frame.f_code):
                return f"`{path}`", f" at {frame.f_code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
        return "something", ""
