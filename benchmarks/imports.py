"""G11: what `import stepflow.protocol` and `import stepflow.worker` take, compared with the imports that they need.

Each figure is the time of the import statement in a fresh interpreter; interleaved, medians. Prints a table, and ends
with 1 when a ratio is above its bound.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

TIMED = "import time; begun = time.perf_counter(); import {}; print(time.perf_counter() - begun)"

FLOORS = {"stepflow.protocol": "msgspec", "stepflow.worker": "asyncio, msgspec"}
BOUNDS = {"stepflow.protocol": 1.5, "stepflow.worker": 2.0}


def seconds(modules: str) -> float:
    """Return the seconds of one import in a new interpreter."""
    command = [sys.executable, "-c", TIMED.format(modules)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> int:
    """Measure and print; return 1 when a bound is exceeded."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--runs", type=int, default=25, help="imports of each (default 25)")
    options = arguments.parse_args()
    names = [*FLOORS, *FLOORS.values()]
    figures: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(options.runs + 1):
        for name in names:
            took = seconds(name)
            if round_:  # The first round fills the disk's cache.
                figures[name].append(took)
    print(f"{'':20}{'median ms':>10}{'min':>8}{'max':>8}{'ratio':>8}{'bound':>8}")
    good = True
    for name, values in figures.items():
        line = f"{name:20}{statistics.median(values) * 1e3:10.1f}{min(values) * 1e3:8.1f}{max(values) * 1e3:8.1f}"
        if name in FLOORS:
            ratio = statistics.median(values) / statistics.median(figures[FLOORS[name]])
            good &= ratio <= BOUNDS[name]
            line += f"{ratio:8.2f}{BOUNDS[name]:8.1f}"
        print(line)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
