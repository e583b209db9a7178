"""The two file descriptors of the protocol. No other code in the process can use them."""

import contextlib
import io
import logging
import os
import sys
import threading
from typing import NamedTuple

from stepflow.worker._executing.forked import keep_from_children

log = logging.getLogger("stepflow.worker")


class ProtocolStreams(NamedTuple):
    """The file descriptors that messages are read from and written to. No child inherits them."""

    input: int
    output: int

    @property
    def is_terminal(self) -> bool:
        """Whether the input is a terminal, where a person types messages."""
        return os.isatty(self.input)


def take_standard_streams() -> ProtocolStreams:
    """Take stdin and stdout for the protocol, once per process and before user code is imported.

    From then on fd 0 is the null device and fd 1 is stderr: a `print`, an `input()` or a child
    process cannot touch the protocol. Raises `OSError` when stdin or stdout is closed.
    """
    streams = ProtocolStreams(os.dup(0), os.dup(1))
    for fd in streams:
        keep_from_children(fd)
    if os.name == "posix":
        for fd in streams:
            os.set_blocking(fd, True)  # another process that shares the file may have changed it
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(null, 1)  # there is no stderr either
    os.close(null)
    # Text that was printed before is still in this buffer, and goes to stderr now as well.
    if isinstance(sys.stdout, io.TextIOWrapper):
        with contextlib.suppress(ValueError, OSError):
            sys.stdout.reconfigure(line_buffering=True)
            sys.stdout.flush()
    return streams


class LineWriter:
    """Writes whole lines from any thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._broken = False

    def write(self, line: bytes) -> None:
        """Write a line; other threads' lines are not mixed with it."""
        with self._lock:
            if self._broken:
                return
            try:
                written = os.write(self._fd, line)
                while written < len(line):  # a pipe may take only a part
                    written += os.write(self._fd, memoryview(line)[written:])
            except OSError as error:
                # The end of the input follows soon, and ends the worker.
                self._broken = True
                log.warning("the server no longer reads: %s", error)
