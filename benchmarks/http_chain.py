"""G5: what a sequential step costs over an HTTP worker, in memory, against a bare echo of FastAPI.

The flow is a chain of 200 trivial steps. The time of a step is (run created → run ended) ÷ 200, from the run's
timestamps. Two components are measured: `plain` only answers, and `context` makes two blob calls on its stream. Their
runs alternate with those of the floor, H. Prints a table, and ends with 1 when a median is above its bound.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chain import chain, seconds_per_step
from figures import judged, rounds
from server import built, serving

COMPONENTS = {"plain": "/http/echo", "context": "/http/keep"}
BOUNDS = {"plain": 1.5, "context": 5.0}
CONFIG = {
    "plugins": {
        "http": {
            "type": "stepflow",
            "command": "stepflow-worker",
            "args": [str(Path(__file__).with_name("http_components.py")), "--http"],
            "transport": "http",
        }
    },
    "routes": {"/http/{*component}": [{"plugin": "http"}]},
}


@contextmanager
def floor(calls: int = 200) -> Iterator[Callable[[], float]]:
    """Yield a function that measures H: the seconds per echo of a step's input, one after the other.

    The client uses the HTTP library of the Stepflow server; the other side is a plain FastAPI route.
    """
    echo = [sys.executable, str(Path(__file__).with_name("fastapi_echo.py"))]
    client = str(built("--package", "stepflow-hosts", "--example", "http_floor"))
    with ended(subprocess.Popen(echo, stdout=subprocess.PIPE, text=True)) as server:
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["port"]
        command = [client, f"http://127.0.0.1:{port}/", str(calls)]
        pipe = subprocess.PIPE
        with ended(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)) as process:
            stdin, stdout = process.stdin, process.stdout
            assert stdin is not None
            assert stdout is not None

            def latency() -> float:
                stdin.write('{"n":1}\n')
                stdin.flush()
                return float(stdout.readline())

            yield latency


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End a process with the block, also when the block fails."""
    with process:
        try:
            yield process
        finally:
            process.terminate()


def main() -> int:
    """Measure and print; return 1 when a bound is exceeded."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--runs", type=int, default=5, help="runs of each kind (default 5)")
    options = arguments.parse_args()
    with floor() as bare_echo, serving(CONFIG) as server:
        flows = {kind: server.store(chain(path)) for kind, path in COMPONENTS.items()}
        figures = rounds(
            options.runs, lambda: {"H": bare_echo(), **seconds_per_step(server, flows)}
        )
    return judged(figures, "H", BOUNDS)


if __name__ == "__main__":
    sys.exit(main())
