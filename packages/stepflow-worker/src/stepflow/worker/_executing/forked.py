"""Keeps a forked child of the worker from being taken for it, and from keeping its connections open.

A component may use `multiprocessing`. A child that is forked has the worker's signal handlers, and the descriptor by
which they wake its event loop: a SIGTERM for the child would end the worker, and not the child.
"""

import contextlib
import os
import signal
import threading

_SIGNALS = {signal.SIGTERM, signal.SIGINT}

_descriptors: set[int] = set()
_registered = False
_masks = threading.local()


def keep_from_children(descriptor: int) -> None:
    """Have children that are forked from now on have the null device in place of a descriptor."""
    _register()
    _descriptors.add(descriptor)


def forget(descriptor: int) -> None:
    """A descriptor is about to be closed: its number may become another one's."""
    _descriptors.discard(descriptor)


def _register() -> None:
    global _registered
    if not _registered and hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
        _registered = True
        os.register_at_fork(
            before=_hold_signals, after_in_parent=_let_signals, after_in_child=_become_a_child
        )


def _hold_signals() -> None:
    # One that reached the child while it has our handlers would be heard here.
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _let_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _become_a_child() -> None:
    with contextlib.suppress(ValueError):  # not in the main interpreter
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in _descriptors:
        with contextlib.suppress(OSError):
            # In its place and not closed: what is opened next must not get its number.
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)
    _let_signals()
