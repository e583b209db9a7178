"""Ends a sync component from outside: raises an exception in its thread."""

import threading
from collections.abc import Callable
from typing import TypeVar

from stepflow.worker.errors import Cancelled

T = TypeVar("T")


class Interruption:
    """Raises `Cancelled` in the thread of one call, and never in what the thread does after the call."""

    __slots__ = ("_asked", "_sending", "_thread")

    def __init__(self) -> None:
        self._thread: int | None = None
        self._asked = False
        self._sending = False

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on this thread. Raises what it raises, or `Cancelled`."""
        try:
            self._thread = threading.get_ident()
            if self._asked:
                raise Cancelled
            return function()
        finally:
            # The order matters. Either `interrupt` sees that the call is over, or this sees that it
            # was called. Then this waits until it has sent the exception. Python raises that here
            # at the latest, as each turn of a loop looks for one.
            self._thread = None
            if self._asked:
                while self._sending:
                    pass
                for _ in range(2):
                    pass

    def interrupt(self) -> None:
        """Raise `Cancelled` in the call, if it still runs. From another thread, and only once."""
        import ctypes  # rarely needed, and slow to import

        self._sending = True
        self._asked = True
        if (thread := self._thread) is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread), ctypes.py_object(Cancelled)
            )
        self._sending = False
