"""Cancel: how long it takes until a run is `cancelled`, and until the code that ran for it has stopped.

Three runs of one step share a worker process with a neighbour that takes two seconds. One sleeps on the loop, one
spins in Python, one sleeps in C, which only the end of its process can interrupt. Prints a table. Ends with 1 when a
figure is above its bound, or when the neighbour did not complete.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from neighbours import one
from server import Server, serving

CONFIG = {
    "plugins": {
        "busy": {
            "type": "stepflow",
            "command": "stepflow-worker",
            "args": [str(Path(__file__).with_name("busy_components.py"))],
        }
    },
    "routes": {"/busy/{*component}": [{"plugin": "busy"}]},
}

CANCELLED_WITHIN = 1.0
"""The most seconds until the run is `cancelled`."""

STOPPED_WITHIN = {"sleep_async": 1.0, "spin": 5.0, "sleep_sync": 8.0}
"""The most seconds until the code has stopped. C code ends with its process, once the neighbours are done."""


class Bell:
    """A named pipe: the code writes to it when it begins, and closes it when it ends."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path

    def begun(self) -> None:
        """Wait until the code has begun."""
        self._pipe = os.open(self.path, os.O_RDONLY)
        os.read(self._pipe, 64)

    def seconds_to_the_end(self, since: float) -> float:
        """Wait until the code has closed the pipe."""
        while os.read(self._pipe, 64):
            pass
        os.close(self._pipe)
        return time.perf_counter() - since


def main() -> int:
    """Measure and print; return 1 when a bound is exceeded."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(CONFIG) as server,
        ThreadPoolExecutor() as pool,
    ):
        bells = {name: Bell(Path(folder, name)) for name in (*STOPPED_WITHIN, "neighbour")}
        runs = {name: _submitted(server, name, bell) for name, bell in bells.items()}
        good = True
        stopped = {}
        print(f"{'':14}{'cancelled ms':>14}{'bound':>8}{'stopped ms':>12}{'bound':>8}")
        cancelled = {}
        for name in STOPPED_WITHIN:
            begun = time.perf_counter()
            assert server.cancel(runs[name])["status"] == "cancelled"
            cancelled[name] = time.perf_counter() - begun
            stopped[name] = pool.submit(bells[name].seconds_to_the_end, begun)
        for name, bound in STOPPED_WITHIN.items():
            seconds = stopped[name].result()
            good &= seconds <= bound and cancelled[name] <= CANCELLED_WITHIN
            print(
                f"{name:14}{cancelled[name] * 1e3:14.1f}{CANCELLED_WITHIN * 1e3:8.0f}"
                f"{seconds * 1e3:12.1f}{bound * 1e3:8.0f}"
            )
        neighbour = server.wait(runs["neighbour"])["result"]
        print(f"the neighbour: {neighbour}")
    return 0 if good and neighbour == {"outcome": "success", "result": "done"} else 1


def _submitted(server: Server, name: str, bell: Bell) -> str:
    run: str = server.submit(server.store(one(f"/busy/{name}")), str(bell.path))["runId"]
    bell.begun()
    return run


if __name__ == "__main__":
    sys.exit(main())
