"""G2: what a sequential step costs in memory, Python worker over stdio, against a bare JSON-RPC echo over a pipe.

A chain of 200 trivial steps; (run created → run ended) ÷ 200 by the run's own timestamps; sync and async components
apart; interleaved with the floor. Prints a table, and ends with 1 when a median is above the bound.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

from figures import judged, rounds
from floor import echo, latency
from server import Server, serving

STEPS = 200
KINDS = ("sync", "async")
CONFIG: dict[str, dict[str, object]] = {
    "plugins": {
        kind: {
            "type": "stepflow",
            "command": "stepflow-worker",
            "args": [str(Path(__file__).with_name(f"{kind}_components.py"))],
        }
        for kind in KINDS
    },
    "routes": {f"/{kind}/{{*component}}": [{"plugin": kind}] for kind in KINDS},
}


def chain(component: str, length: int = STEPS) -> dict[str, object]:
    """Return a flow in which each step takes the output of the one before."""
    steps = [
        {
            "id": f"s{n}",
            "component": component,
            "input": {"$step": f"s{n - 1}"} if n else {"$input": "$"},
        }
        for n in range(length)
    ]
    return {"name": f"chain of {component}", "steps": steps, "output": {"$step": f"s{length - 1}"}}


def seconds_per_step(server: Server, flows: dict[str, str]) -> dict[str, float]:
    """One run of each kind's chain, one after the other."""
    return {kind: _seconds_per_step(server, flow_id) for kind, flow_id in flows.items()}


def _seconds_per_step(server: Server, flow_id: str) -> float:
    """One run of the chain, by its own timestamps."""
    run = server.run(flow_id, {"n": 1})
    assert run["result"] == {"outcome": "success", "result": {"n": 1}}, run
    begun, ended = (datetime.fromisoformat(run[key]) for key in ("createdAt", "completedAt"))
    return (ended - begun).total_seconds() / STEPS


def main() -> int:
    """Measure and print; return 1 when a bound is exceeded."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--runs", type=int, default=5, help="runs of each kind (default 5)")
    arguments.add_argument(
        "--bound", type=float, default=3.0, help="the ratio to R that is allowed (default 3)"
    )
    options = arguments.parse_args()
    with echo("async") as bare, echo("sync") as threaded, serving(CONFIG) as server:
        flows = {kind: server.store(chain(f"/{kind}/echo")) for kind in KINDS}

        def measure() -> dict[str, float]:
            floor = {"R": latency(bare), "Rt": latency(threaded)}
            return floor | seconds_per_step(server, flows)

        figures = rounds(options.runs, measure)
    return judged(figures, "R", dict.fromkeys(KINDS, options.bound))


if __name__ == "__main__":
    sys.exit(main())
