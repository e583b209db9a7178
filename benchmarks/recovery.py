"""Recovery: a server is killed with many open runs, each half done. How long until each of them goes on?

The runs have 20 steps. When all have arrived at the eleventh, which does not answer, the server is killed. It is
started again on the same database, once with a Python worker that answers, and once with a builtin component in its
place: a Python worker needs most of a second before it takes its first step. The twelfth step sleeps, so that what follows does
not take the cores from the recovery.

Prints how long after the start of the process the API was ready, the first and the last run were taken over (`owned`),
and the first, the middle and the last of the steps that had waited were run. `CPU` is the processor time of the server
until then, and `memory` what it has taken for each run. Ends with 1 when a figure is above its bound.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from server import release_binary

BOUNDS = {"builtin first": 0.3, "builtin last": 3.0, "python last": 3.0}
"""The most seconds from the start of the process."""

CLIENTS = 8

TIMEOUT = 600.0


def config(log: Path | None, *, builtin: bool = False) -> dict[str, object]:
    """Two workers: those that wait must not take the slots of the others."""
    held = {"plugin": "builtin", "component": "/noop"} if builtin else {"plugin": "held"}
    worker = {
        "type": "stepflow",
        "command": "stepflow-worker",
        "args": [str(Path(__file__).with_name("recovery_components.py"))],
        "env": {"RECOVERY_LOG": str(log)} if log else {},
    }
    return {
        "plugins": {"quick": worker, "held": worker, "builtin": {"type": "builtin"}},
        "routes": {
            "/quick/{*component}": [{"plugin": "quick"}],
            "/held/{*component}": [held],
            "/sleep": [{"plugin": "builtin"}],
        },
        "retry": {"maxServerCrashes": 0},
    }


def flow() -> dict[str, object]:
    """Twenty steps, one after the other."""
    steps: list[dict[str, object]] = []
    value: dict[str, str] = {"$input": "$"}
    for n in range(1, 21):
        component = "/held/held" if n == 11 else "/quick/quick"
        if n == 12:
            wait = {"duration_ms": 3_600_000, "after": value}
            steps.append({"id": f"s{n}", "component": "/sleep", "input": wait})
        else:
            steps.append({"id": f"s{n}", "component": component, "input": value})
        value = {"$step": f"s{n}"}
    return {"steps": steps, "output": value}


class Ready(NamedTuple):
    """A server that answers."""

    port: int
    pid: int
    at: float

    def cpu(self) -> float:
        """Return how many seconds of CPU it has used. Its workers do not count."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Return how many bytes of memory it has."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def serving(
    folder: Path, log: Path | None, *, builtin: bool = False
) -> Iterator[tuple[Ready, float]]:
    """Run a server until the block ends, and kill it; yield it and when it was started."""
    path = folder / "config.json"
    path.write_text(json.dumps(config(log, builtin=builtin)))
    command = [str(release_binary()), "serve", "--port", "0", "--config", str(path)]
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr").open("w"),
        text=True,
        env={**os.environ, "PATH": scripts},
    )
    try:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        yield Ready(port, process.pid, time.monotonic()), began
    finally:
        process.kill()
        process.wait()


def ask(connection: http.client.HTTPConnection, path: str, body: object) -> Any:
    headers = {"Content-Type": "application/json"}
    connection.request("POST", f"/api/v1{path}", json.dumps(body), headers)
    with connection.getresponse() as response:
        answer = json.load(response)
    assert response.status < 300, answer
    return answer


def submit(port: int, runs: int) -> None:
    """Begin so many runs."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        flow_id = ask(connection, "/flows", {"flow": flow()})["flowId"]

    def some(n: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            for _ in range(n):
                ask(connection, "/runs", {"flowId": flow_id, "input": [1]})

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(some, [len(range(n, runs, CLIENTS)) for n in range(CLIENTS)]))


def until(seconds: float, done: Any) -> None:
    """Wait until it is done."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.2)


def count(database: Path, sql: str) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as rows:
        return int(rows.execute(sql).fetchone()[0])


def half_done(folder: Path, runs: int) -> None:
    """Leave a database of a killed server in the folder."""
    database = folder / ".stepflow" / "state.db"
    began = time.monotonic()
    with serving(folder, None) as (ready, _):
        submit(ready.port, runs)
        # The eleventh step has a row once its attempt is stored.
        sql = "SELECT count(*) FROM steps WHERE step = 10 AND ended_at IS NULL"
        until(TIMEOUT, lambda: count(database, sql) == runs)
    size = sum(file.stat().st_size for file in database.parent.iterdir())
    print(
        f"{runs} runs in {time.monotonic() - began:.1f} s; the database has {size >> 20} MiB",
        flush=True,
    )


def times(database: Path, sql: str) -> list[float]:
    """Return times of the database, in seconds since 1970, the first one first."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as rows:
        return sorted(at / 1e6 for (at,) in rows.execute(sql))


def recovered(folder: Path, runs: int, *, builtin: bool) -> dict[str, float]:
    """Start a server on what is in the folder; return when it did what, in seconds."""
    log, database = folder / "log", folder / ".stepflow" / "state.db"
    clock = time.time() - time.monotonic()
    ended = "SELECT ended_at FROM steps WHERE step = 10 AND ended_at IS NOT NULL"
    with serving(folder, log, builtin=builtin) as (ready, began):
        until(TIMEOUT, lambda: count(database, f"SELECT count(*) FROM ({ended})") >= runs)
        cpu, memory = ready.cpu(), ready.memory()
    if builtin:
        went_on = [at - clock for at in times(database, ended)]
    else:
        went_on = sorted(float(line) for line in log.read_text().split())
    assert len(went_on) == runs, "a run went on twice"
    owned = times(database, "SELECT at FROM journal WHERE instr(body, '\"owner_changed\"')")
    assert len(owned) == runs
    figures = {
        "ready": ready.at - began,
        "owned 1": owned[0] - clock - began,
        "owned": owned[-1] - clock - began,
        "first": went_on[0] - began,
        "half": went_on[runs // 2] - began,
        "last": went_on[-1] - began,
        "CPU": cpu,
        "memory KiB": memory / 1024 / runs,
    }
    return {f"{'builtin' if builtin else 'python'} {name}": at for name, at in figures.items()}


def main() -> int:
    """Measure and print; return 1 when a bound is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    measured = []
    with tempfile.TemporaryDirectory() as parent:
        left = Path(parent, "left")
        left.mkdir()
        half_done(left, asked.runs)
        for n in range(asked.rounds):
            figures: dict[str, float] = {}
            for builtin in (False, True):
                folder = Path(parent, str(n))
                shutil.copytree(left, folder)
                # What is still to be written must not hold up the server.
                os.sync()
                figures |= recovered(folder, asked.runs, builtin=builtin)
                shutil.rmtree(folder)
            measured.append(figures)
    print(f"{'':20}{'median ms':>10}{'min':>8}{'max':>8}{'bound':>8}")
    good = True
    for name in measured[0]:
        values = [each[name] for each in measured]
        median, bound = statistics.median(values), BOUNDS.get(name)
        good &= bound is None or median <= bound
        shown = "" if bound is None else f"{bound * 1e3:.0f}"
        unit = 1 if name.endswith("KiB") else 1e3
        low, high = min(values) * unit, max(values) * unit
        print(f"{name:20}{median * unit:10.0f}{low:8.0f}{high:8.0f}{shown:>8}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
