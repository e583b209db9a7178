"""A worker behind two pipes, which carry bytes."""

import contextlib
import threading
from collections.abc import Sequence

from stepflow.testing.conformance._failures import Unreachable
from stepflow.testing.conformance._process import Process, ended
from stepflow.testing.conformance._worker import Json, Probe, Worker, same


class StdioWorker(Worker):
    """A worker process that is used over its stdin and stdout."""

    def __init__(
        self, command: Sequence[str], patience: float, any_component: Probe | None
    ) -> None:
        """Start the process. Raises `CannotStart` when there is no such program."""
        super().__init__(patience, any_component)
        self.process = Process(command, speaks_on_stdin=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send_text(self, text: bytes) -> None:
        self.write(text + b"\n")

    def write(self, piece: bytes) -> None:
        """Write bytes as they are."""
        self.sent(piece)
        left = memoryview(piece)
        try:
            while left:
                left = left[self.process.input.write(left) :]
        except OSError as error:
            problem = f"the worker does not read any more: {error.strerror}"
            raise Unreachable(f"{problem}{self.process.stderr_tail}") from None

    def tell(self, text: bytes) -> None:
        self.send_text(text)

    def unanswered(self, text: bytes) -> list[Json]:
        self.send_text(text)
        return self.came_before_a_ping()

    def came_before_a_ping(self) -> list[Json]:
        """Return the answers that arrive before the answer to a new request; requests are kept."""
        id, came = self.begin("components/list", {}), list[Json]()
        while "method" in (message := self.receive()) or not same(message.get("id"), id):
            if "method" in message:
                self.keep(message)
            else:
                came.append(message)
        return came

    def close_input(self) -> None:
        """Close the worker's input, so that it reads the end."""
        self.note("the worker's input was closed")
        with contextlib.suppress(OSError):
            self.process.input.close()

    def terminate(self) -> None:
        self.process.terminate()
        self.note("SIGTERM was sent")

    def must_exit(self) -> None:
        self.process.must_exit(self.known.patience)

    def end(self) -> None:
        self.process.kill()
        self._reader.join(self.known.patience)

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError, ValueError):
            while piece := self.process.output.read(1 << 20):
                *lines, rest = (rest + piece).split(b"\n") if b"\n" in piece else (rest + piece,)
                for line in lines:
                    self.arrived(line)
        if rest:
            self.arrived(rest)
        self.arrived(Unreachable(f"the worker {self._how_it_ended()}"))

    def _how_it_ended(self) -> str:
        code = self.process.exit_code(self.known.patience)
        with contextlib.suppress(ValueError):
            stderr = self.process.stderr_tail
            return f"closed its output{stderr}" if code is None else f"{ended(code)}{stderr}"
        return "was ended"
