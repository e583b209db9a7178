"""Ends a sync component from outside, by an exception that is raised in its thread."""

import threading
from collections.abc import Callable
from typing import TypeVar

from stepflow.worker.errors import Cancelled

T = TypeVar("T")


class Interruption:
    """Raises `Cancelled` in the thread of one call, and never in what that thread does afterwards."""

    __slots__ = ("_asked", "_lock", "_thread")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._thread: int | None = None
        self._asked = False

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on this thread. Raises what it raises, or `Cancelled`."""
        try:
            try:
                self._thread = threading.get_ident()
                if self._asked:
                    raise Cancelled
                return function()
            finally:
                self._leave()
        except BaseException:
            # The exception may have arrived while `_leave` ran. It comes only once: now it
            # runs to its end.
            self._leave()
            raise

    def interrupt(self) -> None:
        """Raise in the call, if it still runs. From another thread, and once."""
        with self._lock:
            self._asked = True
            if self._thread is not None:
                _raise_in(self._thread, Cancelled)

    def _leave(self) -> None:
        # The order matters. Either `interrupt` sees that the call is left, or this sees that
        # `interrupt` has begun, waits for it, and takes back what has not arrived yet.
        self._thread = None
        if self._asked:
            with self._lock:
                _raise_in(threading.get_ident(), None)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise an exception between two of its bytecodes; `None` takes it back."""
    import ctypes  # seldom needed, and slow to import

    kind = ctypes.py_object() if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)
