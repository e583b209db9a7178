"""Workers over HTTP that the test starts, and not the server."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class HttpWorker:
    """`stepflow-worker components.py --http`, in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """Its address, also after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, on the port that it had before."""
        command = [sys.executable, "-m", "stepflow.worker", "components.py", "--http"]
        self._process = subprocess.Popen(
            [*command, "--port", str(self._port), *self._options],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = json.loads(self._process.stdout.readline())["port"]

    def end(self) -> int:
        """Send SIGTERM, as a rollout does, and wait for the end; return the exit code."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=60)
        finally:
            self._process.kill()
        return self._process.returncode


@contextmanager
def http_worker(folder: Path, *options: str) -> Iterator[HttpWorker]:
    """Run a worker that ends with the block."""
    worker = HttpWorker(folder, *options)
    try:
        yield worker
    finally:
        worker.end()


class RestartedWorker(HttpWorker):
    """A worker that is started again after each crash."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, *options)
        self._ending = False
        self._changing = threading.Lock()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def _keep(self) -> None:
        while True:
            # Not `communicate`: another thread calls that when it ends the process.
            self._process.wait()
            with self._changing:
                if self._ending:
                    return
                assert self._process.stdout is not None
                self._process.stdout.close()
                self.start()

    def end(self) -> int:
        """End it, without another start."""
        with self._changing:
            self._ending = True
        try:
            return super().end()
        finally:
            self._keeper.join()
