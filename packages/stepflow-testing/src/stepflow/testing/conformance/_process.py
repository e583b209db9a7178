"""The worker's process, if the checker starts it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from stepflow.testing.conformance._failures import Broken, CannotStart, Inapplicable

_TAIL_BYTES = 2000


class Process:
    """A child in its own process group. The end of its stderr is kept."""

    def __init__(self, command: Sequence[str], *, speaks_on_stdin: bool) -> None:
        """Start the process. Raises `CannotStart` when there is no such program."""
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if speaks_on_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | {"STEPFLOW_WORKER_PORT": "0"},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise CannotStart(f"`{command[0]}` cannot be started: {error.strerror}") from None
        self._tail = bytearray()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._child.stderr is not None
        with contextlib.suppress(OSError, ValueError):  # `kill` closes the stream
            while piece := self._child.stderr.read(1 << 16):
                self._tail += piece
                del self._tail[:-_TAIL_BYTES]

    @property
    def input(self) -> IO[bytes]:
        """The worker's stdin."""
        assert self._child.stdin is not None
        return self._child.stdin

    @property
    def output(self) -> IO[bytes]:
        """The worker's stdout."""
        assert self._child.stdout is not None
        return self._child.stdout

    def exit_code(self, timeout: float) -> int | None:
        """Wait for the exit code; `None` if the process does not end in `timeout` seconds."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def must_exit(self, timeout: float) -> None:
        """Raise `Broken` unless the process exits with 0 within `timeout` seconds."""
        code = self.exit_code(timeout)
        if code is None:
            raise Broken(f"the worker goes on; {timeout:g} s have passed")
        if code != 0:
            raise Broken(f"the worker {ended(code)}{self.stderr_tail}")

    def terminate(self) -> None:
        """Send SIGTERM."""
        if sys.platform == "win32":
            raise Inapplicable("Windows has no SIGTERM")
        self._child.send_signal(signal.SIGTERM)

    @property
    def stderr_tail(self) -> str:
        """The end of stderr, as the end of a sentence."""
        self._listener.join(0.5)  # what was written just before the end may still be in the pipe
        text = bytes(self._tail).decode(errors="replace").strip()
        return f"; the end of its stderr:\n{text}" if text else "; it wrote nothing to stderr"

    def kill(self) -> None:
        """Kill the process and all its children."""
        if sys.platform == "win32":
            self._child.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def ended(code: int) -> str:
    """Return how a process ended, as a part of a sentence."""
    return f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
