"""Makes a forked child of the worker harmless: it must not act as the worker or keep the worker's connections open.

A component may use `multiprocessing`. A forked child has the worker's signal handlers, and the descriptor that they use
to wake the worker's event loop. So a SIGTERM for the child would end the worker, and not the child. It shares the epoll
of the loop: a file that the child removes there is removed for the worker, too. And the child returns from `os.fork`
inside the worker's own code, which must not continue in the child.
"""

import asyncio
import contextlib
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections import deque
from typing import NoReturn

FLUSH = 1.0
"""How long a forked child may take to flush its stdout and stderr, in seconds."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT}

_descriptors: set[int] = set()
_loops: set[asyncio.AbstractEventLoop] = set()
_registered = False
_masks = threading.local()


def keep_from_children(descriptor: int) -> None:
    """In children that are forked from now on, replace a descriptor with the null device."""
    _register()
    _descriptors.add(descriptor)


def forget(descriptor: int) -> None:
    """Undo `keep_from_children` before a descriptor is closed: its number may be used again."""
    _descriptors.discard(descriptor)


def keep_loop_from_children(loop: asyncio.AbstractEventLoop) -> None:
    """Children that are forked from now on do not share a loop's epoll, and do not run the loop."""
    _register()
    _loops.add(loop)


def forget_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Undo `keep_loop_from_children` before a loop is closed."""
    _loops.discard(loop)


def end_child(error: BaseException | None = None) -> NoReturn:
    """End this process, a forked child whose component has ended. Only the parent sends an answer."""
    code = 1
    try:
        code = _exit_code(error)
        # If another thread of the parent held a lock of a stream during the fork, it is never released here.
        flushing = threading.Thread(target=_flush, daemon=True)
        flushing.start()
        flushing.join(FLUSH)
    finally:
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if issubclass(type(error), SystemExit):
        code = error.code  # type: ignore[attr-defined]
        if code is None or isinstance(code, int):
            return (code or 0) & 0xFF
    # Not with `sys.stderr`: it has such a lock.
    os.write(2, "".join(traceback.format_exception(error)).encode(errors="backslashreplace"))
    return 1


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _register() -> None:
    global _registered
    if not _registered and hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        _registered = True
        os.register_at_fork(
            before=_hold_signals, after_in_parent=_release_signals, after_in_child=_become_a_child
        )


def _hold_signals() -> None:
    # The worker would get a signal that arrives in the child before its handlers are reset.
    _masks.loop = asyncio._get_running_loop()  # asked before the fork: in a child it is None
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _become_a_child() -> None:
    with contextlib.suppress(ValueError):  # not in the main interpreter
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sockets = [each.fileno() for loop in _loops for each in _own_sockets(loop)]
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in (*_descriptors, *sockets):
        with contextlib.suppress(OSError):
            # Replaced, not closed: the next file that is opened must not get its number.
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)
    for loop in _loops:
        _give_own_epoll(loop)
    if _masks.loop in _loops:
        _end_at_next_turn(_masks.loop)
    _release_signals()


def _own_sockets(loop: asyncio.AbstractEventLoop) -> list[socket.socket]:
    """Return the sockets with which asyncio wakes a loop from other threads."""
    found = [getattr(loop, name, None) for name in ("_ssock", "_csock")]
    return [each for each in found if isinstance(each, socket.socket)]


def _give_own_epoll(loop: asyncio.AbstractEventLoop) -> None:
    of_asyncio = getattr(getattr(loop, "_selector", None), "fileno", None)
    descriptor = of_asyncio or getattr(loop, "_get_backend_id", None)  # uvloop's
    if descriptor is None or not hasattr(select, "epoll"):  # a kqueue is not inherited
        return
    with contextlib.suppress(OSError, ValueError), select.epoll() as own:
        # Replaced by an empty one: without any epoll, uvloop aborts.
        os.dup2(own.fileno(), descriptor(), inheritable=False)


def _end_at_next_turn(loop: asyncio.AbstractEventLoop) -> None:
    ready = getattr(loop, "_ready", None)
    if isinstance(ready, deque):
        # Before everything that is ready, such as other components.
        ready.appendleft(asyncio.Handle(_end_in_loop, (), loop))
    else:
        loop.call_soon(_end_in_loop)


def _end_in_loop() -> None:
    end_child(RuntimeError("a forked child cannot await: the event loop is its parent's"))
