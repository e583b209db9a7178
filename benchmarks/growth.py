"""How CPU time and memory of a durable server grow: with longer flows, larger batches, and runs that sleep.

Used by `durable.py`. Linux only, because it reads the figures of the server's process from `/proc`.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from chain import chain
from figures import rounds
from server import Server, serving

CONFIG: dict[str, object] = {
    "plugins": {"builtin": {"type": "builtin"}},
    "routes": {"/{*component}": [{"plugin": "builtin"}]},
}
MIB = 1 << 20
ITEM = {"text": "x" * 600}
"""An item of a large batch. The API takes 64 MiB, so 100 000 items cannot be much longer."""


def measured(quick: bool, count: int) -> bool:
    """Measure and print. Tell whether everything is within its bound."""
    items, sleepers, sleep = (10_000, 1_000, 6.0) if quick else (100_000, 10_000, 40.0)
    with serving(CONFIG, durable=True) as server:
        time.sleep(1)
        fits = [row("G12 idle server, MiB", [server.memory() / MIB], 30)]
        noop = server.store(chain("/noop", 1))
        for _ in range(300):
            server.run(noop, {"n": 1})
        fits += parked(server, sleepers, sleep)
    with serving(CONFIG, durable=True) as server:
        fits += grown(server, items, count)
    return all(fits)


def row(name: str, values: list[float], bound: float) -> bool:
    """Print a figure. Tell whether its median is within the bound."""
    median = statistics.median(values)
    print(f"{name:44}{median:9.2f}{min(values):9.2f}{max(values):9.2f}  ≤ {bound:g}", flush=True)
    return median <= bound


def grown(server: Server, items: int, count: int) -> list[bool]:
    """G8: CPU seconds of ten times the work, and the memory of a large batch."""
    chains = [server.store(chain("/noop", steps)) for steps in (1_000, 10_000)]
    one = server.store(chain("/noop", 1))

    def cpu(work: Callable[[], object]) -> float:
        before = server.cpu()
        work()
        return server.cpu() - before

    def measure() -> dict[str, float]:
        # A short one, or a small one, is too short for the clock of the process.
        short = cpu(lambda: [server.run(chains[0], {"n": 1}) for _ in range(5)]) / 5
        long = cpu(lambda: server.run(chains[1], {"n": 1}))
        small = cpu(lambda: [server.run(one, *[ITEM] * (items // 10)) for _ in range(5)]) / 5
        before = server.memory()
        server.forget_peak()
        large = cpu(lambda: server.run(one, *[ITEM] * items))
        return {
            "short": short,
            "chain": long / short,
            "small": small,
            "batch": large / small,
            "memory": (server.peak_memory() - before) / MIB,
        }

    figures = rounds(count, measure)
    print(f"CPU s of a 1 000-chain: {statistics.median(figures['short']):.3f}")
    print(f"CPU s of a batch of {items // 10}: {statistics.median(figures['small']):.3f}")
    return [
        row("G8 CPU of a chain of 10 000 ÷ of 1 000", figures["chain"], 11),
        row(f"G8 CPU of a batch of {items} ÷ of {items // 10}", figures["batch"], 11),
        row(f"G8 memory of a batch of {items}, MiB", figures["memory"], 200),
    ]


def parked(server: Server, count: int, sleep: float) -> list[bool]:
    """G12: the memory of sleeping runs, and how late they are woken."""
    step = {"id": "wait", "component": "/sleep", "input": {"duration_ms": int(sleep * 1e3)}}
    flow = server.store({"steps": [step], "output": {"$step": "wait"}})
    before, begun = server.memory(), time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        ids = [
            id
            for ids in pool.map(lambda _: submitted(server, flow, count // 8), range(8))
            for id in ids
        ]
    # After a second without work they leave memory. The first one ends when its time is over.
    time.sleep(2)
    took = time.monotonic() - begun
    assert took < sleep, f"the runs were not submitted in time: {took:.1f} s"
    each = (server.memory() - before) / len(ids)
    server.wait(ids[-1])
    time.sleep(2)
    late = sorted(lateness(server.state(id), sleep) for id in ids[:: max(1, len(ids) // 500)])
    return [
        row(f"G12 memory of each of {count} sleeping runs, B", [each], 2048),
        row("G12 lateness of a wake-up, ms, median", late, 50),
        row("G12 lateness of a wake-up, ms, p99", [late[len(late) * 99 // 100]], 50),
    ]


def submitted(server: Server, flow: str, count: int) -> list[str]:
    """Begin runs on a connection that stays open; return their ids."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body, headers = (
        json.dumps({"flowId": flow, "input": [{}]}),
        {"Content-Type": "application/json"},
    )
    ids = []
    for _ in range(count):
        connection.request("POST", "/api/v1/runs", body, headers)
        ids.append(json.load(connection.getresponse())["runId"])
    connection.close()
    return ids


def lateness(run: dict[str, str], sleep: float) -> float:
    """Return how many milliseconds after its time the run ended."""
    assert run["status"] == "completed", run
    begun, ended = (datetime.fromisoformat(run[key]) for key in ("createdAt", "completedAt"))
    return ((ended - begun).total_seconds() - sleep) * 1e3
