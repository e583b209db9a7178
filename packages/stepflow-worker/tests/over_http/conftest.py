"""A real worker process that serves over HTTP, and clients with access to every byte."""

import http.client
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest

PATIENCE = 30.0
Json: TypeAlias = Any

BOTH = "application/json, text/event-stream"
TASK = "01a201db-08a0-7403-9639-000000000001"

HEAD = """
import asyncio, os, sys, threading, time
import msgspec
from stepflow.worker import *
server = StepflowServer()
"""

# Serves with shorter limits, which a test can wait for; its options are those of `Limits`.
WITH_LIMITS = """
import asyncio, json, sys
from components import server
from stepflow.worker._http.worker import Limits
from stepflow.worker._http.listening import Address
from stepflow.worker._http.serving import serve_http
from stepflow.worker._stdio.streams import take_standard_streams

limits = Limits(**json.loads(sys.argv[1]))
streams = take_standard_streams()
asyncio.run(serve_http(server, streams, Address("127.0.0.1", 0), limits=limits))
"""


@dataclass
class Response:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)


class Stream:
    """A stream that is read event by event: an answer, or the stream of a session."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self.response = connection.getresponse()
        self.headers = {name.lower(): value for name, value in self.response.getheaders()}

    def block(self) -> bytes:
        """Return the bytes of the next event, with its empty line; nothing at the end."""
        lines = []
        while line := self.response.readline():
            lines.append(line)
            if line == b"\n":
                break
        return b"".join(lines)

    def message(self) -> Json:
        """Return the message of the next event; comments are skipped."""
        while (block := self.block()).startswith(b":"):
            pass
        assert block.startswith(b"data: ") and block.count(b"\n") == 2, block
        return json.loads(block.removeprefix(b"data: "))

    def cut_off(self) -> bool:
        """Read the rest; return whether the connection breaks before the stream has ended."""
        try:
            self.response.read()
        except (http.client.IncompleteRead, ConnectionError):
            return True
        return False

    def close(self) -> None:
        """Close the connection, as a client that leaves."""
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self.response.close()
        self._connection.close()


@dataclass
class Client:
    """A client that sends messages to a session's path, or to `/` without a session."""

    port: int
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    events: Stream | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def connection(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        self._open.callback(connection.close)
        return connection

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
        """Send any request, and read its response."""
        connection = self.connection()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {**self.headers, **named})
        response = connection.getresponse()
        got = Response(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
        connection.close()
        return got

    def get(self, path: str) -> Response:
        return self.ask("GET", path)

    def post(self, body: bytes, accept: str = BOTH, **headers: str) -> Response:
        """Post a body as a server does."""
        kinds = {"Content_Type": "application/json", "Accept": accept, **headers}
        return self.ask("POST", self.path, body, **kinds)

    def send(self, message: Json) -> Response:
        return self.post(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def request(self, method: str, params: Json = None, id: Json = 1) -> Json:
        """Send a request and return the answer in its body."""
        sent = self.send({"id": id, "method": method, "params": params or {}})
        assert sent.status == 200, sent
        return sent.json

    def notify(self, method: str, params: Json) -> Response:
        return self.send({"method": method, "params": params})

    def initialize(self, **capabilities: Json) -> Json:
        """Do the handshake as a server with these capabilities."""
        params = {"runtime_protocol_version": 1, "capabilities": capabilities}
        answer = self.request("initialize", params)
        assert self.notify("initialized", {}).status == 202
        return answer["result"]

    def execute(self, component: str, input: Json = None, id: Json = 1) -> Json:
        """Return the answer of a component without a context."""
        return self.request("components/execute", execute(component, input), id)

    def output(self, component: str, input: Json = None) -> Json:
        answer = self.execute(component, input)
        assert "result" in answer, answer
        return answer["result"]["output"]

    def begin(
        self,
        component: str,
        input: Json = None,
        id: Json = 1,
        attempt: int = 1,
        task: str = TASK,
        **more: Json,
    ) -> Stream:
        """Begin an execute whose answer is a stream."""
        return Stream(self.begin_unread(component, input, id, attempt, task, **more))

    def begin_unread(
        self,
        component: str,
        input: Json = None,
        id: Json = 1,
        attempt: int = 1,
        task: str = TASK,
        **more: Json,
    ) -> http.client.HTTPConnection:
        """Send an execute, and do not wait until its answer begins."""
        params = {**execute(component, input, attempt, task), **more}
        message = {"jsonrpc": "2.0", "id": id, "method": "components/execute", "params": params}
        headers = {"Content-Type": "application/json", "Accept": BOTH, **self.headers}
        connection = self.connection()
        connection.request("POST", self.path, json.dumps(message), headers)
        return connection

    def answer(self, request: Json, **result: Json) -> None:
        """Answer a component's request."""
        assert self.send({"id": request["id"], "result": result}).status == 202

    def give_blob(self, request: Json, data: Json) -> None:
        self.answer(request, data=data, blob_type="data")

    def end(self) -> None:
        self._open.close()


def execute(component: str, input: Json, attempt: int = 1, task: str = TASK) -> Json:
    """The params of an execute."""
    return {
        "component": component,
        "input": input,
        "attempt": attempt,
        "task_id": task,
        "observability": {"run_id": "r", "flow_id": "f", "step_id": "s1"},
    }


class HttpWorker(Client):
    """A worker process, and a client of it that has no session."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self._log = folder / "stderr.txt"
        # As usual outside of tests: printed text stays in a buffer until it is flushed.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment, **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        assert self.first_line, f"it ended:\n{self.stderr}"
        self._clients: list[Client] = []
        super().__init__(json.loads(self.first_line)["port"])

    @property
    def stderr(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def touch(self, name: str) -> None:
        """Make an empty file in the worker's folder."""
        self._log.with_name(name).touch()

    def client(self, **headers: str) -> Client:
        """Another client without a session."""
        client = Client(self.port, headers=headers)
        self._clients.append(client)
        return client

    def session(self, path: str = "/runtime/events") -> Client:
        """Open a session, or resume one."""
        client = self.client()
        connection = client.connection()
        connection.request("GET", path)
        client.events = Stream(connection)
        block = client.events.block()
        assert block.startswith(b"event: endpoint\ndata: "), block
        client.path = json.loads(block.split(b"data: ")[1])["endpoint"]
        return client

    def resumed(self, session: Client) -> Client:
        """Resume a session."""
        return self.session(session.path.replace("/?", "/runtime/events?"))

    def socket(self) -> socket.socket:
        """A bare connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        self._open.callback(connection.close)
        return connection

    def wait(self) -> int:
        """Wait for the process's end and return its exit code."""
        return self.process.wait(PATIENCE)

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

    def close_clients(self) -> None:
        """Close all connections; the sessions of the clients end with them."""
        for client in self._clients:
            client.end()
        self._clients.clear()
        super().end()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.close_clients()
        if self.process.stdout is not None:
            self.process.stdout.close()


Serve: TypeAlias = Callable[..., HttpWorker]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve components, given as source, over HTTP on a free port; `server` is defined already."""
    with serving(tmp_path) as served:
        yield served


SHARED: list[HttpWorker] = []
"""The workers that the tests of the current file share."""


@pytest.fixture(scope="module")
def serve_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve`, for a worker that all tests of a file share.

    It is for components that keep nothing. Messages do not stay either: each answer has its own
    connection, and `no_session_stays` closes them all. The log stays, so a test that reads it
    has its own worker.
    """
    with serving(tmp_path_factory.mktemp("worker"), SHARED) as served:
        yield served
    SHARED.clear()


@pytest.fixture(autouse=True)
def no_session_stays() -> Iterator[None]:
    """End the sessions and executes that a test has begun on a shared worker."""
    yield
    for worker in SHARED:
        worker.close_clients()


@contextmanager
def serving(folder: Path, workers: list[HttpWorker] | None = None) -> Iterator[Serve]:
    """Return a function that starts workers in a folder; they end with the block.

    workers: the list that they are added to.
    """
    workers = [] if workers is None else workers

    def served(
        source: str,
        *options: str,
        limits: dict[str, float] | None = None,
        env: dict[str, str] | None = None,
        command: tuple[str, ...] = ("-m", "stepflow.worker", "components.py", "--http"),
    ) -> HttpWorker:
        (folder / "components.py").write_text(HEAD + textwrap.dedent(source), encoding="utf-8")
        if limits is not None:
            (folder / "limited.py").write_text(WITH_LIMITS, encoding="utf-8")
            command = ("limited.py", json.dumps(limits))
        env = {"STEPFLOW_WORKER_PORT": "0", **(env or {})}
        worker = HttpWorker([sys.executable, *command, *options], folder, env)
        workers.append(worker)
        return worker

    try:
        yield served
    finally:
        for worker in workers:
            worker.end()
