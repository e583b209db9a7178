"""The plain worker over stdin and stdout."""

import os
import threading
import time
from collections.abc import Iterator

from plain import Json, Plain, set_at_sigterm, written


class Stdio:
    """Reads and writes lines; what user code prints goes to stderr."""

    def __init__(self, worker: Plain) -> None:
        self.worker = worker
        self.input, self.output = self.take_streams()
        self.lock = threading.Lock()
        self.over = threading.Event()

    def take_streams(self) -> tuple[int, int]:
        streams = os.dup(0), os.dup(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        return streams

    def say(self, message: Json) -> None:
        self.write(written(message) + b"\n")

    def write(self, line: bytes) -> None:
        with self.lock:
            left = memoryview(line)
            while left:
                left = left[os.write(self.output, left) :]

    def lines(self) -> Iterator[bytes]:
        rest = b""
        while piece := os.read(self.input, 1 << 20):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines

    def line(self, line: bytes) -> None:
        if line.strip():
            self.worker.hear(line, self.say)

    def read(self) -> None:
        for line in self.lines():
            self.line(line)
        self.over.set()

    def serve(self) -> None:
        set_at_sigterm(self.over)
        threading.Thread(target=self.read, daemon=True).start()
        self.over.wait()
        self.worker.draining = True
        self.drain()
        self.leave(0)

    def drain(self) -> None:
        while self.worker.executions:
            time.sleep(0.01)

    def leave(self, code: int) -> None:
        os._exit(code)
