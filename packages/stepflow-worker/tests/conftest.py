"""A real worker process; the test has its pipes, as a server has them."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

PATIENCE = 30.0
Json: TypeAlias = Any

OBSERVABILITY = {
    "trace_id": "01a201db08a074039639443eb8bbe2b0",
    "span_id": "9159834200000002",
    "run_id": "01a201db-08a0-7403-9639-442082c5705e",
    "flow_id": "273713568602c7e556a2137317c10e72b80df6e18d06c68eb6f0c26a04bdd3e0",
    "step_id": "s1",
}
TASK = "01a201db-08a0-7403-9639-000000000001"


class Worker:
    """A worker process. `send` sends a message to it, and `receive` returns one from it."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._log = folder / "stderr.txt"
        # As usual outside of tests: printed text stays in a buffer until it is flushed.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._input, self._output = self.process.stdin, self.process.stdout
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._kept: list[Json] = []
        self._next_id = 0
        self._may_read = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._output:
            self._lines.put(line)
            with self._may_read:
                pass
        self._lines.put(b"")

    @contextlib.contextmanager
    def not_reading(self) -> Iterator[None]:
        """Do not read from the worker during the block."""
        with self._may_read:
            yield

    def repeat_last(self) -> None:
        """Send the last line again."""
        self.send_line(self._last)

    def send_line(self, line: bytes) -> None:
        self._last = line
        self._input.write(line)
        self._input.flush()

    def send(self, **message: Json) -> None:
        self.send_line(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def receive(self) -> Json:
        """Return the next message; fail the test when none arrives."""
        line = self._lines.get(timeout=PATIENCE)
        assert line, f"the worker ended instead of answering:\n{self.stderr}"
        return json.loads(line)

    def answer(self, id: str | int | None) -> Json:
        """Return the answer to one request; other messages are kept for later."""
        for index, message in enumerate(self._kept):
            if "method" not in message and message["id"] == id:
                return self._kept.pop(index)
        while "method" in (message := self.receive()) or message["id"] != id:
            self._kept.append(message)
        return message

    def next_message(self, id: str | int | None) -> Json:
        """Return the answer to one request, or a request of a component that arrives before it."""
        for index, message in enumerate(self._kept):
            if "method" in message or message["id"] == id:
                return self._kept.pop(index)
        while "method" not in (message := self.receive()) and message["id"] != id:
            self._kept.append(message)
        return message

    def begin(self, method: str, params: Json) -> int:
        """Send a request and return its id."""
        self._next_id += 1
        self.send(id=self._next_id, method=method, params=params)
        return self._next_id

    def request(self, method: str, params: Json = None) -> Json:
        """Send a request and return its answer."""
        return self.answer(self.begin(method, {} if params is None else params))

    def begin_execute(
        self, component: str, input: Json = None, attempt: int = 1, **more: Json
    ) -> int:
        return self.begin(
            "components/execute",
            {
                "component": component,
                "input": input,
                "attempt": attempt,
                "task_id": TASK,
                "observability": OBSERVABILITY,
                **more,
            },
        )

    def cancel(self, attempt: int = 1, **more: Json) -> None:
        params = {"task_id": TASK, "attempt": attempt, **more}
        self.send(method="components/cancel", params=params)

    def execute(self, component: str, input: Json = None) -> Json:
        return self.answer(self.begin_execute(component, input))

    def output(self, component: str, input: Json = None) -> Json:
        """Return the output of a component, which must succeed."""
        answer = self.execute(component, input)
        assert "result" in answer, answer
        return answer["result"]["output"]

    def called(self, method: str) -> Json:
        """Return the next request of a component with this method."""
        for index, message in enumerate(self._kept):
            if message.get("method") == method:
                return self._kept.pop(index)
        while (message := self.receive()).get("method") != method:
            self._kept.append(message)
        return message

    def give_blob(self, request: Json, data: Json) -> None:
        """Answer a `blobs/get`."""
        self.send(id=request["id"], result={"data": data, "blob_type": "data"})

    def close_input(self) -> None:
        self._input.close()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Repeat `condition` until it is true; fail the test when that takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            waited = f"after {PATIENCE:g} s: {what}"
            assert time.monotonic() < deadline, f"still not true {waited}\n{self.stderr}"
            time.sleep(0.01)

    def wait_for_stderr(self, text: str) -> None:
        """Wait until the worker has written a text to stderr."""
        self.wait_until(lambda: text in self.stderr, f"stderr contains {text!r}")

    def signal_until_it_ends(self, number: int) -> None:
        """Send a signal again and again: the first one may arrive before the worker handles it."""

        def has_ended() -> bool:
            self.process.send_signal(number)
            return self.process.poll() is not None

        self.wait_until(has_ended, "the worker has ended")

    def assert_nothing_is_left(self) -> None:
        """Fail if a test has left a message that the next test could take for its own."""
        if self.process.poll() is not None:
            return
        self.request("components/list")  # messages that arrive before its answer are kept
        left, self._kept = self._kept, []
        assert not left, f"the test has left messages of the shared worker: {left}"

    def wait(self) -> int:
        """Wait for the process's end and return its exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    @property
    def is_read_to_its_end(self) -> bool:
        """Whether no process has the worker's output open any more."""
        return not self._reader.is_alive()

    @property
    def stderr(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._output.close()


Start: TypeAlias = Callable[..., Worker]
Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]

HEAD = """
import asyncio, os, sys, threading, time
import msgspec
from stepflow.worker import ComponentError, ServerGone, StepflowContext, StepflowServer
server = StepflowServer()
"""


@pytest.fixture(scope="session", autouse=True)
def plain_loop() -> Iterator[None]:
    """Workers run on Python's own event loop, as without the extra; `test_uvloop.py` tests the extra."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STEPFLOW_WORKER_UVLOOP", "0")
        yield


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `stepflow-worker` with components given as source; `server` is defined already."""
    with starting(tmp_path) as started:
        yield started


SHARED: list[Worker] = []
"""The workers that the tests of the current file share."""


@pytest.fixture(scope="module")
def start_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """`start`, for a worker that all tests of a file share.

    It is for components that keep nothing. Messages do not stay either: see `nothing_is_left`.
    """
    with starting(tmp_path_factory.mktemp("worker"), SHARED) as started:
        yield started
    SHARED.clear()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves messages of a shared worker to the next test."""
    yield
    for worker in SHARED:
        worker.assert_nothing_is_left()


@contextlib.contextmanager
def starting(folder: Path, workers: list[Worker] | None = None) -> Iterator[Start]:
    """Return a function that starts workers in a folder; they end with the block.

    workers: the list that they are added to.
    """
    workers = [] if workers is None else workers

    def started(
        source: str,
        *options: str,
        head: str = HEAD,
        command: tuple[str, ...] = (sys.executable, "-m", "stepflow.worker", "components.py"),
    ) -> Worker:
        (folder / "components.py").write_text(head + textwrap.dedent(source), encoding="utf-8")
        worker = Worker([*command, *options], folder)
        workers.append(worker)
        return worker

    try:
        yield started
    finally:
        for worker in workers:
            worker.end()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `stepflow-worker` with arguments and an empty input, to its end."""

    def ran(*arguments: str, **files: str) -> "subprocess.CompletedProcess[str]":
        for name, source in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "stepflow.worker", *arguments],
            check=False,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )

    return ran
