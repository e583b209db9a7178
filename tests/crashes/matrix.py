"""One crash, and what is there after it."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.serving import begin
from tests.crashes import flows, journal
from tests.crashes.client import GONE, TIMEOUT, Client

WORKER = ("--worker", "components.py")

WRONG = (AssertionError, LookupError, subprocess.TimeoutExpired, pytest.fail.Exception)
"""What is raised when a server does not do what it should."""


@dataclass(frozen=True)
class Point:
    """Where something is killed."""

    n: int
    """The number of an append, or of an execute of the worker."""
    mode: str
    """`before` or `after` the COMMIT of the append; `worker` or `both` for an execute."""

    @classmethod
    def of(cls, text: str) -> "Point":
        """Read `17`, `17:before`, `3:worker`, as it is printed."""
        n, _, mode = text.partition(":")
        if mode not in ("", "before", "after", "worker", "both"):
            raise ValueError(f"`{mode}` is not `before`, `after`, `worker` or `both`")
        return cls(int(n), mode or "after")

    def __str__(self) -> str:
        return f"{self.n}:{self.mode}"

    def environment(self) -> dict[str, str]:
        """Return the variables that make it happen."""
        if self.mode in ("before", "after"):
            return {"STEPFLOW_CRASH_AT": str(self)}
        too = {"CRASH_SERVER_TOO": "1"} if self.mode == "both" else {}
        return {"CRASH_WORKER_AT": str(self.n), **too}


class Execute(NamedTuple):
    """An execute, as the component has noted it."""

    generation: int
    """Which server asked for it, counted from 1."""
    task: str
    attempt: int
    step: str

    @classmethod
    def of(cls, line: str) -> "Execute":
        generation, task, attempt, step = line.split()
        return cls(int(generation), task, int(attempt), step)


@dataclass(frozen=True)
class Told:
    """What became of all runs."""

    results: list[str]
    appends: int
    executes: int
    """How often the worker was asked."""
    reached: bool = False
    """Whether all points were reached."""
    problems: tuple[str, ...] = ()

    def compared(self, undisturbed: "Told") -> "Told":
        """Return it with what differs from runs that nothing has disturbed."""
        ours, theirs = ("\n".join(told.results).splitlines() for told in (self, undisturbed))
        differences = tuple(unified_diff(theirs, ours, "undisturbed", "crashed", lineterm=""))
        return replace(self, problems=self.problems + differences)


class Scene:
    """A folder in which servers run one after the other, each on what the one before has left."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._stepflow = Stepflow(command, folder)
        self._stepflow.write(components_py=flows.COMPONENTS)
        self._client = Client(folder)
        self._problems: list[str] = []
        self._crashes: list[journal.Database] = []
        """What was durable when each of the servers crashed."""

    def play(self, points: Sequence[Point]) -> Told:
        """Run a server for each point, until it crashes there, and one that ends well."""
        results: list[str] | None = None
        try:
            for point in (*points, None):
                results = self._serve(point.environment() if point else {})
                if results is not None:
                    break
        except WRONG as error:
            self._problems.append(f"{type(error).__name__}: {error}")
        self._look_for_damage(self._client.database)
        said = journal.read(self._client.database)
        executes = self._executes()
        self._problems += said.problems()
        for before in self._crashes:
            self._problems += said.lost_since(before)
        self._problems += self._wrong(executes, said)
        kills = [point for point in points if point.mode == "worker" and point.n <= len(executes)]
        reached = len(kills) + len(self._crashes) == len(points)
        return Told(results or [], said.appends, len(executes), reached, tuple(self._problems))

    def _serve(self, environment: dict[str, str]) -> list[str] | None:
        """Run a server, and return what it says at the end; None when it crashes."""
        generation = len(self._crashes) + 1
        server = begin(
            self._stepflow, *WORKER, env={**environment, "CRASH_GENERATION": str(generation)}
        )
        try:
            self._problems += self._client.drive(server, lambda: self._is_held(generation))
            results = self._client.results(server)
        except GONE:
            server.process.wait(TIMEOUT)
            ended = self._stepflow.end(server.process)
            assert ended.code == -signal.SIGKILL, ended
            folder = self._stepflow.folder / f"crash-{generation}"
            copy = journal.copied(self._client.database, folder)
            before = journal.read(copy)
            self._look_for_damage(copy)
            self._problems += self._client.look(before)
            self._crashes.append(before)
            return None
        except BaseException:
            server.process.kill()
            raise
        server.process.send_signal(signal.SIGTERM)
        ended = self._stepflow.end(server.process)
        assert (ended.code, ended.stdout) == (0, ""), ended
        return results

    def _look_for_damage(self, database: Path) -> None:
        checked = self._stepflow("db", "check", "--path", str(database))
        if checked.code != 0:
            self._problems.append(f"damage in {database}: {checked.stdout}{checked.stderr}")

    def _executes(self) -> list[Execute]:
        path = self._stepflow.folder / "seen"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Execute.of(line) for line in lines]

    def _is_held(self, generation: int) -> bool:
        return any(it.generation == generation and it.step == "held" for it in self._executes())

    def _wrong(self, executes: list[Execute], said: journal.Database) -> Iterator[str]:
        """Yield what the worker should not have been asked."""
        for (task, attempt), n in Counter((it.task, it.attempt) for it in executes).items():
            if n > 1:
                yield f"attempt {attempt} of task {task} was executed {n} times"
        durable = [(before.ended(), before.scheduled()) for before in self._crashes]
        durable.append((set(), said.scheduled()))
        for it in executes:
            if (it.task, it.attempt) not in durable[it.generation - 1][1]:
                yield f"{it} was executed before it was durable"
            if any(it.task in ended for ended, _ in durable[: it.generation - 1]):
                yield f"{it} was executed although its step had ended"


def play(command: list[str], folder: Path, points: Sequence[Point] = ()) -> Told:
    """Run all in a folder, with a crash at each point, one after the other."""
    return Scene(command, folder).play(points)
