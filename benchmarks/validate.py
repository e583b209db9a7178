"""What it costs to validate a large flow: the CPU time of `validate`, with its start, for 1 000 and for 10 000 steps.

CPU time, not time on the wall: on a shared machine only the former says something about the program. The ratio of the
two sizes shows whether the checks take time in proportion to the flow.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from server import release_binary

SIZES = (1_000, 10_000)
"""Steps of the two flows."""


def flow(steps: int) -> str:
    """Return a flow in YAML, with references in both directions, choices, a retry and a constant in every step.

    A step has 22 values, so 10 000 steps have fewer than a document may have.
    """
    lines = ["name: large", "description: generated", "steps:"]
    for n in range(steps):
        before = f"{{$step: s{n - 1}, path: $.rows}}" if n else "{$input: $.rows}"
        lines += [
            f"- id: s{n}",
            "  component: /builtin/noop",
            "  timeout: 30s",
            "  onError: {action: retry, maxRetries: 2}",
            "  input:",
            f"    rows: {before}",
            f"    first: {{$coalesce: [{{$step: s{n // 2}}}, null]}}" if n else "    first: null",
            "    choice: {$if: {$input: $.fast}, then: 1, else: {limit: 20}}",
        ]
    lines.append(f"output: {{$step: s{steps - 1}}}")
    return "\n".join(lines) + "\n"


def cpu_seconds(command: list[str]) -> float:
    """Return the CPU time of one run of a command, which must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode == 0, ended.stderr
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> int:
    """Measure and print; return 1 when a bound is exceeded."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--runs", type=int, default=11, help="runs of each size (default 11)")
    arguments.add_argument(
        "--bound", type=float, default=0.1, help="CPU seconds allowed for 1 000 steps (default 0.1)"
    )
    arguments.add_argument(
        "--growth", type=float, default=12.0, help="how much more 10 000 may take (default 12)"
    )
    options = arguments.parse_args()
    binary = str(release_binary())
    figures: dict[int, list[float]] = {steps: [] for steps in SIZES}
    with tempfile.TemporaryDirectory() as folder:
        paths = {steps: Path(folder, f"{steps}.yaml") for steps in SIZES}
        for steps, path in paths.items():
            path.write_text(flow(steps), encoding="utf-8")
        for round_ in range(options.runs + 1):
            for steps, path in paths.items():
                measured = cpu_seconds([binary, "validate", str(path)])
                if round_:  # The first round warms up.
                    figures[steps].append(measured)
    print(f"{'steps':>8}{'median ms':>12}{'min':>8}{'max':>8}")
    for steps, values in figures.items():
        low, high = min(values) * 1e3, max(values) * 1e3
        print(f"{steps:8}{statistics.median(values) * 1e3:12.1f}{low:8.1f}{high:8.1f}")
    small, large = (statistics.median(figures[steps]) for steps in SIZES)
    growth = large / small
    print(
        json.dumps(
            {"seconds": small, "bound": options.bound, "growth": growth, "most": options.growth}
        )
    )
    return 0 if small <= options.bound and growth <= options.growth else 1


if __name__ == "__main__":
    sys.exit(main())
