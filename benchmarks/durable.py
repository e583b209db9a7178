"""What durability costs: a server that keeps its runs in SQLite, against the bare disk and a bare echo.

G1, G3, G4 and builtin flows, each against floors that are measured in the same round. Then G8, the growth of CPU time
and memory with the work, and G12, the memory of runs that sleep. Prints tables, and ends with 1 when a median is above
its bound.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import chain
import growth
from figures import rounds
from floor import echo, latency, throughput
from http_chain import ended
from server import Server, built, serving

CONFIG = {
    "plugins": {**chain.CONFIG["plugins"], "builtin": {"type": "builtin"}},
    "routes": {**chain.CONFIG["routes"], "/builtin/{*component}": [{"plugin": "builtin"}]},
}
Round = dict[str, float]


@dataclass(frozen=True)
class Bound:
    """What a time is measured against, and the most that it may be. Both follow from the floors of a round."""

    floor: str
    of_floor: Callable[[Round], float]
    most: Callable[[Round], float]


BOUNDS = {
    **{
        f"G1 {kind}": Bound(
            "Rt + C", lambda f: f["Rt"] + f["C"], lambda f: 1.5 * (f["Rt"] + f["C"]) + 1e-4
        )
        for kind in chain.KINDS
    },
    "G3": Bound(
        "R + 2 C + 10/Pt",
        lambda f: f["R"] + 2 * f["C"] + 10 * f["1/Pt"],
        lambda f: 2 * (f["R"] + 2 * f["C"] + 10 * f["1/Pt"]),
    ),
    "G4 memory": Bound("1/Pt", lambda f: f["1/Pt"], lambda f: f["1/Pt"] / 0.35),
    "G4 durable": Bound("1/Pt", lambda f: f["1/Pt"], lambda f: f["1/Pt"] / 0.2),
    "builtin": Bound("H", lambda f: f["H"], lambda f: f["C"] + 1.5 * f["H"]),
    "builtin chain": Bound("C", lambda f: f["C"], lambda _: float("inf")),
}


@contextmanager
def commits(count: int = 100) -> Iterator[Callable[[], float]]:
    """Yield a function that measures C: the seconds of a commit of two rows, one after the other."""
    program = built("--package", "stepflow-store", "--example", "commit_floor")
    pipe = subprocess.PIPE
    with tempfile.TemporaryDirectory() as folder:
        command = [str(program), folder, str(count)]
        with ended(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)) as process:
            stdin, stdout = process.stdin, process.stdout
            assert stdin is not None
            assert stdout is not None

            def latency() -> float:
                stdin.write("\n")
                stdin.flush()
                return float(stdout.readline())

            yield latency


@contextmanager
def http_echo() -> Iterator[int]:
    """Start a plain FastAPI route that answers with its input; yield its port."""
    command = [sys.executable, str(Path(__file__).with_name("fastapi_echo.py"))]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        yield int(json.loads(process.stdout.readline())["port"])


def seconds_per_post(port: int, path: str, body: object, times: int = 50) -> float:
    """Return the median seconds of a POST on a connection that stays open."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    text, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        connection.request("POST", path, text, headers)
        answer = connection.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - begun)
        assert answer.status < 300, answer.status
    connection.close()
    return statistics.median(seconds)


def side_by_side(component: str, steps: int) -> dict[str, object]:
    """Return a flow in which each step takes the flow's input."""
    ids = [f"s{n}" for n in range(steps)]
    return {
        "steps": [{"id": id, "component": component, "input": {"$input": "$"}} for id in ids],
        "output": [{"$step": id} for id in ids],
    }


def seconds(run: dict[str, Any]) -> float:
    """Return the time from the creation of a run to its end, by its own timestamps."""
    assert run["status"] == "completed", run
    begun, ended = (datetime.fromisoformat(run[key]) for key in ("createdAt", "completedAt"))
    return (ended - begun).total_seconds()


def batch(server: Server, flow_id: str, items: int = 256, steps: int = 20) -> float:
    """Return the seconds per step of a batch of chains."""
    return seconds(server.run(flow_id, *[{"n": 1}] * items)) / (items * steps)


class Flows:
    """The ids of the flows on a server."""

    def __init__(self, server: Server) -> None:
        self.chains = {kind: server.store(chain.chain(f"/{kind}/echo")) for kind in chain.KINDS}
        self.ten = server.store(side_by_side("/sync/echo", 10))
        self.short = server.store(chain.chain("/sync/echo", 20))
        self.one = server.store(chain.chain("/builtin/noop", 1))
        self.long = server.store(chain.chain("/builtin/noop", 1000))


def times(count: int) -> dict[str, list[float]]:
    """Measure the floors and the server, one after the other, in so many rounds."""
    with (
        echo("async") as bare,
        echo("sync") as threaded,
        commits() as commit,
        http_echo() as http,
        serving(CONFIG) as memory,
        serving(CONFIG, durable=True) as durable,
    ):
        flows = {server: Flows(server) for server in (memory, durable)}

        def measure() -> Round:
            of = flows[durable]
            one = {"flowId": of.one, "input": [{"n": 1}], "wait": True}
            return {
                "C": commit(),
                "R": latency(bare),
                "Rt": latency(threaded),
                "1/Pt": throughput(threaded),
                "H": seconds_per_post(http, "/", one),
                **{
                    f"G1 {kind}": each
                    for kind, each in chain.seconds_per_step(durable, of.chains).items()
                },
                "G3": statistics.median(seconds(durable.run(of.ten, {"n": 1})) for _ in range(20)),
                "G4 memory": batch(memory, flows[memory].short),
                "G4 durable": batch(durable, of.short),
                "builtin": seconds_per_post(durable.port, "/api/v1/runs", one),
                "builtin chain": seconds(durable.run(of.long, {"n": 1})),
            }

        return rounds(count, measure)


def judged(figures: dict[str, list[float]]) -> bool:
    """Print the times with their ratios. Tell whether no median is above its bound."""
    each = [
        dict(zip(figures, values, strict=True)) for values in zip(*figures.values(), strict=True)
    ]
    print(f"{'':16}{'median µs':>11}{'min':>11}{'max':>11}  {'÷':>20}{'÷ bound':>9}")
    fits = True
    for name, values in figures.items():
        row = f"{name:16}" + "".join(
            f"{f(values) * 1e6:11.1f}" for f in (statistics.median, min, max)
        )
        if bound := BOUNDS.get(name):
            ratio = statistics.median(r[name] / bound.of_floor(r) for r in each)
            of_bound = statistics.median(r[name] / bound.most(r) for r in each)
            fits = fits and of_bound <= 1
            row += f"  {f'{ratio:.2f} ({bound.floor})':>20}{of_bound:9.2f}"
        print(row, flush=True)
    return fits


def main() -> int:
    """Measure and print; return 1 when a bound is exceeded."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--runs", type=int, default=5, help="rounds (default 5)")
    arguments.add_argument("--quick", action="store_true", help="fewer rounds, and less growth")
    arguments.add_argument("--only", choices=["times", "growth"], help="a part of the figures")
    options = arguments.parse_args()
    count = 3 if options.quick else options.runs
    fits = options.only == "growth" or judged(times(count))
    return 0 if (options.only == "times" or growth.measured(options.quick, count)) and fits else 1


if __name__ == "__main__":
    sys.exit(main())
