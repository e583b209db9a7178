"""Says so when a component blocks the event loop: all other async components stand still then."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterable

from stepflow.worker._components.component import Component

log = logging.getLogger("stepflow.worker")

PATIENCE = 1.0
"""How long the loop may be busy before it is reported, in seconds."""


class LoopWatchdog:
    """Asks the loop for a sign of life about once per second, and only while it has work."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        components: Callable[[], Iterable[Component]],
        is_busy: Callable[[], bool],
    ) -> None:
        """`components` are those that are served now."""
        self._loop = loop
        self._loop_thread = 0
        self._components = components
        self._is_busy = is_busy
        self.when_blocked: Callable[[], bool] | None = None
        """Called when the loop is blocked, until it has been of use."""
        self._wanted = threading.Event()
        self._watching = False
        # Started now, while nothing depends on it: later there may be no thread to be had.
        threading.Thread(target=self._run, name="stepflow-watchdog", daemon=True).start()

    def watch(self) -> None:
        """Begin to watch, on the loop's thread; does nothing when it watches already."""
        if self._watching:
            return
        self._watching = True
        self._loop_thread = threading.get_ident()
        self._wanted.set()

    def _run(self) -> None:
        pause = threading.Event()  # never set: a sleep that ends with the interpreter
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while self._is_busy():
                try:
                    self._look()
                except RuntimeError:
                    return  # the loop is closed
                pause.wait(PATIENCE)
            self._watching = False
            if self._is_busy():  # work came between the last look and the line before this
                self._watching = True
                self._wanted.set()

    def _look(self) -> None:
        alive = threading.Event()
        self._loop.call_soon_threadsafe(alive.set)
        if not alive.wait(PATIENCE):
            if self.when_blocked is not None and self.when_blocked():
                self.when_blocked = None
            who, where = self._blocker()
            log.warning(
                "%s has blocked the event loop for over %g s%s: no other async component runs "
                "meanwhile; make it a plain `def`, or await",
                who,
                PATIENCE,
                where,
            )
            alive.wait()  # once per block is enough

    def _blocker(self) -> tuple[str, str]:
        paths = {each.code: each.path for each in self._components() if each.code is not None}
        frame = sys._current_frames().get(self._loop_thread)
        while frame is not None:
            if path := paths.get(frame.f_code):
                return f"`{path}`", f" at {frame.f_code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
        return "something", ""
