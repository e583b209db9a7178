"""Kills a server and its workers again and again while clients submit runs, and compares each result.

Every few seconds the server, a worker, or both are killed. Three clients submit flows, some of them random, and cancel
some. Each result must be the one of the same run without disturbance; at the end `db check` must find nothing."""

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.cli.conftest import Stepflow
from tests.cli.serving import Server
from tests.crashes import flows, journal
from tests.crashes.client import GONE, without_what_varies
from tests.crashes.matrix import Execute

BINARY = Path(sys.executable).with_name("stepflow")

CONFIG = """\
plugins:
  builtin: {type: builtin}
  python: {type: stepflow, command: stepflow-worker, args: [components.py], instances: 2}
routes: {"/python/{*component}": [{plugin: python}], "/builtin/{*component}": [{plugin: builtin}]}
retry: {maxServerCrashes: 0, transportMaxRetries: 1000}
retention: {runs: 3m}
"""

PATIENCE = 120.0
"""How long a client waits for a server, in seconds."""

RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Run = tuple[dict[str, Any], list[int]]
"""A flow and the inputs of its items."""


def random_flow(seed: int) -> dict[str, Any]:
    """Make a flow of a few steps, each of which reads earlier ones."""
    choice = random.Random(seed)
    steps: list[dict[str, Any]] = []
    for number in range(choice.randint(2, 9)):
        # A step that sleeps gives an object: its copy stands for it.
        numbers = [step for step in steps if step["component"] != "/builtin/sleep"]
        earlier = [{"$step": step["id"]} for step in numbers]
        one: Any = choice.choice([{"$input": "$"}, *earlier])
        component, more = choice.choice(
            [
                ("/python/add", {"input": one}),
                ("/python/once", {"input": one, "onError": flows.QUICK_RETRY}),
                ("/builtin/noop", {"input": one}),
                ("/builtin/sleep", {"input": {"duration_ms": 300, "passthrough": one}}),
            ]
        )
        step = {"id": f"s{number}", "component": component, **more}
        if component == "/builtin/sleep":
            copy = {"$step": step["id"], "path": "$.passthrough"}
            steps.append(step)
            step = {"id": f"c{number}", "component": "/builtin/noop", "input": copy}
        steps.append(step)
    output = {step["id"]: {"$step": step["id"]} for step in steps}
    return {"name": f"random-{seed}", "steps": steps, "output": output}


class Day:
    """A folder with a server that somebody kills, and what went wrong in it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.stepflow = Stepflow([str(BINARY)], folder)
        self.stepflow.write(**{"components_py": flows.COMPONENTS, "stepflow-config_yml": CONFIG})
        self.choice = random.Random(seed)
        self.wrong: list[str] = []
        self.kills: Counter[str] = Counter()
        self.ended = 0
        self.over = threading.Event()
        self._starts = 0
        # Clients must find every server in the same place.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server once more."""
        self._starts += 1
        arguments = ("serve", "--port", str(self._port))
        environment = {"CRASH_GENERATION": str(self._starts)}
        self.process = self.stepflow.start(*arguments, env=environment)

    def server(self) -> Server:
        """Return the server as clients see it."""
        assert self.process is not None
        return Server(self.process, f"http://127.0.0.1:{self._port}/api/v1")

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send a request until there is an answer."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.server()(method, path, body)
            except GONE:
                assert time.monotonic() < deadline, "no server answers any more"
                time.sleep(0.05)
                continue
            if answer.status != 503:
                return {"http": answer.status, **answer.body}

    def result(self, run: Run, *, cancel: bool = False) -> str:
        """Have a run carried out, and return what became of it."""
        flow, inputs = run
        made = self.ask("POST", "/runs", {"flow": flow, "input": inputs})
        assert made["http"] == 202, made
        path = f"/runs/{made['runId']}"
        if cancel:
            self.ask("POST", f"{path}/cancel")
        while True:
            shown = self.ask("GET", f"{path}?wait=true&timeoutSecs=20")
            if shown["status"] != "running":
                break
        # How far a cancelled run came is another thing each time.
        cancelled = shown["status"] == "cancelled"
        items = None if cancelled else self.ask("GET", f"{path}/items")["items"]
        told = json.dumps({"status": shown["status"], "items": items})
        told = RUN_ID.sub("RUN", told).replace(str(self.stepflow.folder), "FOLDER")
        return json.dumps(without_what_varies(json.loads(told)), sort_keys=True)

    def client(self, seed: int, runs: list[Run], expected: list[str]) -> None:
        """Submit runs until the day is over."""
        choice = random.Random(seed)
        while not self.over.is_set():
            at = choice.randrange(len(runs))
            cancel = choice.random() < 0.1
            told = self.result(runs[at], cancel=cancel)
            self.ended += 1
            if told != expected[at] and not (cancel and '"cancelled"' in told):
                self.wrong.append(f"{runs[at][0]['name']}: {told}\n  expected {expected[at]}")

    def kill(self) -> None:
        """Kill the server, a worker, or both; a server that is gone is started again."""
        assert self.process is not None
        what = self.choice.choice(["server", "server", "worker", "both"])
        workers = [] if what == "server" else self._workers()
        self.kills[what] += 1
        if workers:
            os.kill(self.choice.choice(workers), signal.SIGKILL)
        if what != "worker":
            self.process.kill()
            self.stepflow.end(self.process)
            if self.kills.total() % 20 == 0:
                vacuumed = self.stepflow("db", "vacuum")
                if vacuumed.code != 0:
                    self.wrong.append(f"db vacuum: {vacuumed.stderr}")
            self.start()

    def _workers(self) -> list[int]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()]
        return [
            pid for pid in pids if b"stepflow-worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def end(self) -> None:
        """Stop the server in good order, and look for what is wrong in its database and in what its workers did."""
        assert self.process is not None
        database = self.stepflow.folder / ".stepflow/state.db"
        deadline = time.monotonic() + 120
        # Nobody waits for a run whose client got no answer.
        while 0 in journal.read(database).statuses.values() and time.monotonic() < deadline:
            time.sleep(0.5)
        self.process.send_signal(signal.SIGTERM)
        ended = self.stepflow.end(self.process)
        if ended.code != 0:
            self.wrong.append(f"the server ended with {ended.code}: {ended.stderr}")
        checked = self.stepflow("db", "check")
        if checked.code != 0:
            self.wrong.append(f"db check: {checked.stdout}{checked.stderr}")
        said = journal.read(database)
        self.wrong += said.problems()
        seen = (self.stepflow.folder / "seen").read_text().splitlines()
        executes = Counter((it.task, it.attempt) for it in map(Execute.of, seen))
        twice = [at for at, number in executes.items() if number > 1]
        self.wrong += [
            f"attempt {attempt} of task {task} was executed twice" for task, attempt in twice
        ]


def main() -> int:
    """Carry out what the command line says."""
    parser = argparse.ArgumentParser(prog="poe crash-day", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long [default: 20]")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between kills, about")
    parser.add_argument("--seed", type=int, default=1, help="which flows and kills")
    asked = parser.parse_args()
    os.environ["PATH"] = f"{BINARY.parent}{os.pathsep}{os.environ['PATH']}"
    folder = Path(tempfile.mkdtemp(prefix="crash-day-"))
    day = Day(folder, asked.seed)
    day.start()
    runs: list[Run] = [(flows.MAIN, [3]), (flows.BATCH, [1, 2, -3, 4, 5])]
    runs += [(random_flow(asked.seed * 100 + n), [n, n + 1]) for n in range(10)]
    expected = [day.result(run) for run in runs]
    clients = [
        threading.Thread(target=day.client, args=(asked.seed + n, runs, expected), daemon=True)
        for n in range(3)
    ]
    for client in clients:
        client.start()
    over_at = time.monotonic() + asked.minutes * 60
    while (left := over_at - time.monotonic()) > 0 and all(client.is_alive() for client in clients):
        time.sleep(min(left, day.choice.uniform(0.1, 2 * asked.every)))
        day.kill()
        print(f"{left / 60:.1f} minutes left, {dict(day.kills)}, {day.ended} runs", flush=True)
    day.over.set()
    for client in clients:
        client.join(timeout=120)
    if any(client.is_alive() for client in clients):
        day.wrong.append("a run has not ended two minutes after the last kill")
    day.end()
    print("\n".join(day.wrong[:20]))
    print(f"{asked.minutes} minutes, {dict(day.kills)}, {day.ended} runs, {len(day.wrong)} wrong")
    if not day.wrong:
        shutil.rmtree(folder)
    return 1 if day.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
