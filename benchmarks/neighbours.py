"""Back-pressure: 100 steps of half a second of CPU on two workers of capacity 1, and how this delays another flow.

A flow of one builtin step is submitted every 100 ms, first to the idle server and then while the batch runs. The
result is the ratio of the two medians. Ends with 1 when it is above the bound, or when a step failed or was done twice.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server import Server, serving

INTERVAL = 0.1
CONFIG = {
    "plugins": {
        "builtin": {"type": "builtin"},
        "busy": {
            "type": "stepflow",
            "command": "stepflow-worker",
            "args": [str(Path(__file__).with_name("busy_components.py"))],
            "instances": 2,
            "maxConcurrency": 1,
        },
    },
    "routes": {
        "/busy/{*component}": [{"plugin": "busy"}],
        "/builtin/{*component}": [{"plugin": "builtin"}],
    },
}


def one(component: str) -> dict[str, object]:
    """Return a flow of one step."""
    step = {"id": "it", "component": component, "input": {"$input": "$"}}
    return {"steps": [step], "output": {"$step": "it"}}


def submitted_every_so_often(server: Server, flow: str, until: Callable[[], bool]) -> list[float]:
    """Return the seconds from submit to result, of each run."""
    seconds = []
    while not until():
        begun = time.perf_counter()
        run = server.run(flow, {"n": 1})
        seconds.append(time.perf_counter() - begun)
        assert run["status"] == "completed", run
        time.sleep(max(0.0, INTERVAL - seconds[-1]))
    return seconds


def main() -> int:
    """Measure and print; return 1 when a bound is exceeded."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument(
        "--steps", type=int, default=100, help="steps of the batch (default 100)"
    )
    arguments.add_argument("--bound", type=float, default=2.0, help="the ratio allowed (default 2)")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(CONFIG) as server:
        seen = Path(folder, "seen")
        copy, burn = server.store(one("/builtin/noop")), server.store(one("/busy/burn"))
        submitted_every_so_often(server, copy, _after(1.0))  # warms up
        idle = submitted_every_so_often(server, copy, _after(5.0))
        with ThreadPoolExecutor(1) as pool:
            batch = pool.submit(server.run, burn, *[str(seen)] * options.steps)
            beside = submitted_every_so_often(server, copy, batch.done)
            items = batch.result()["items"]
        tasks = seen.read_text().split()
    ratio = statistics.median(beside) / statistics.median(idle)
    twice = len(tasks) - len(set(tasks))
    print(f"{'':8}{'median ms':>10}{'min':>8}{'max':>8}{'runs':>8}")
    for name, figures in (("idle", idle), ("beside", beside)):
        low, high = min(figures) * 1e3, max(figures) * 1e3
        print(
            f"{name:8}{statistics.median(figures) * 1e3:10.2f}{low:8.2f}{high:8.2f}{len(figures):8}"
        )
    print(f"ratio {ratio:.2f} (bound {options.bound}); {items}; {twice} executed twice")
    return 0 if ratio <= options.bound and items["completed"] == options.steps and not twice else 1


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


if __name__ == "__main__":
    sys.exit(main())
