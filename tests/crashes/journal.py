"""Reads a database without the server, and tells what its journals break."""

import json
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

Step = tuple[str, int, int]
"""A run, an item of it, a step of its flow."""

Events = list[tuple[int, str, Any]]
"""The events of a tree: their places, kinds and members."""


@dataclass
class Database:
    """What a database says."""

    runs: dict[str, str] = field(default_factory=dict)
    """The names of the flows, by run. Sub-runs are among them."""
    roots: dict[str, str] = field(default_factory=dict)
    """The runs that nobody but a client has asked for, by name of their flow."""
    statuses: dict[str, int] = field(default_factory=dict)
    appends: int = 0
    journals: dict[int, Events] = field(default_factory=dict)
    ended_rows: set[Step] = field(default_factory=set)
    """The steps that have ended, by the rows of steps."""
    left: dict[str, int] = field(default_factory=dict)
    """How many rows there are in the tables that should be empty once all has ended."""

    def ended(self) -> set[str]:
        """Return the tasks of the steps that have ended."""
        tasks: dict[Step, str] = {}
        ended: set[Step] = set()
        for _, kind, event in self._events():
            if kind == "step_scheduled":
                tasks[_step(event)] = event["task_id"]
            elif kind == "step_ended":
                ended.add(_step(event))
        return {task for step, task in tasks.items() if step in ended}

    def scheduled(self) -> set[tuple[str, int]]:
        """Return the tasks with their attempts."""
        return {
            (event["task_id"], event["attempt"])
            for _, kind, event in self._events()
            if kind == "step_scheduled"
        }

    def _events(self) -> Iterator[tuple[int, str, Any]]:
        for events in self.journals.values():
            yield from events

    def problems(self) -> list[str]:
        """Return what is wrong when all runs have ended."""
        found = [f"{n} rows are left in `{table}`" for table, n in self.left.items() if n]
        running = [run for run, status in self.statuses.items() if status == 0]
        found += [f"run {run} of `{self.runs[run]}` has not ended" for run in running]
        ended: set[Step] = set()
        for no, events in self.journals.items():
            found += [f"tree {no}: {problem}" for problem in _broken(events)]
            ended |= {_step(event) for _, kind, event in events if kind == "step_ended"}
        for step in sorted(ended ^ self.ended_rows):
            found.append(f"the row of step {step} differs from its events")
        return found

    def lost_since(self, before: "Database") -> list[str]:
        """Return which events stood in the database at an earlier time and do not now."""
        return [
            f"tree {no}: what was durable at the crash is not there any more"
            for no, events in before.journals.items()
            if self.journals.get(no, [])[: len(events)] != events
        ]


def _step(event: Any) -> Step:
    return event["run"], event["item"], event["step"]


def _broken(events: Events) -> Iterator[str]:
    """Yield the rules of a journal that these events break."""
    if [seq for seq, _, _ in events] != list(range(1, len(events) + 1)):
        yield "its sequences are not dense"
    once: Counter[tuple[str, Any]] = Counter()
    open_: dict[str, int] = defaultdict(int)
    done: set[str] = set()
    cancelled = False
    for seq, kind, event in events:
        if kind == "step_ended":
            once[kind, _step(event)] += 1
        elif kind == "item_ended":
            once[kind, (event["run"], event["item"])] += 1
        elif kind in ("run_ended", "run_created"):
            once[kind, event["run"]] += 1
            done |= {event["run"]} if kind == "run_ended" else set()
        elif kind == "cancel_asked":
            cancelled |= event.get("run") is None
        elif kind == "owner_changed":
            open_.clear()
        elif kind == "attempt_ended":
            if open_.get(event["task_id"]) == event["attempt"]:
                del open_[event["task_id"]]
        elif kind == "step_scheduled":
            once[kind, (event["task_id"], event["attempt"])] += 1
            if event["run"] in done or cancelled:
                yield f"event {seq} schedules a step of a run that has ended"
            if event["task_id"] in open_:
                yield f"event {seq} schedules an attempt while another one is open"
            open_[event["task_id"]] = event["attempt"]
    for (kind, what), n in once.items():
        if n > 1:
            yield f"{n} events `{kind}` of {what}"


def copied(database: Path, folder: Path) -> Path:
    """Copy a database that nobody has open, with what is not yet in its main file."""
    folder.mkdir(parents=True)
    for name in (database.name, f"{database.name}-wal"):
        if (database.parent / name).exists():
            shutil.copy2(database.parent / name, folder / name)
    return folder / database.name


def read(database: Path) -> Database:
    """Read what a database says."""
    said = Database()
    numbers: dict[int, str] = {}
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as rows:
        for no, id, root, name, status in rows.execute(
            "SELECT no, id, root_no, flow_name, status FROM runs ORDER BY no"
        ):
            run = numbers[no] = str(UUID(bytes=id))
            said.runs[run], said.statuses[run] = name, status
            if no == root:
                said.roots[name] = run
        for k, body in rows.execute("SELECT k, body FROM journal ORDER BY k"):
            said.appends += 1
            journal = said.journals.setdefault(k >> 32, [])
            for record in json.loads(body):
                ((kind, event),) = record["event"].items()
                journal.append((record["seq"], kind, event))
        for no, item, step in rows.execute(
            "SELECT run_no, item, step FROM steps WHERE ended_at IS NOT NULL"
        ):
            said.ended_rows.add((numbers[no], item, step))
        for table in ("timers", "had"):
            (said.left[table],) = rows.execute(f"SELECT count(*) FROM {table}").fetchone()
    return said
