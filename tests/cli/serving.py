"""A server that tests use as any client does."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from tests.cli.conftest import Stepflow

DURABILITY = "X-Stepflow-Durability"


class Answer(NamedTuple):
    """An answer of the API."""

    status: int
    body: dict[str, Any]
    durability: str | None = None
    """The header that says what may be lost."""


class Server(NamedTuple):
    """A running `stepflow serve`; called, it sends a request to its API."""

    process: subprocess.Popen[str]
    url: str

    def __call__(
        self, method: str, path: str, body: Any = None, raw: bytes | None = None
    ) -> Answer:
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, json.load(response), response.headers[DURABILITY])
        except urllib.error.HTTPError as error:
            with error:
                assert error.headers["Content-Type"] == "application/json"
                return Answer(error.code, json.load(error), error.headers[DURABILITY])


def begin(stepflow: Stepflow, *arguments: str, env: dict[str, str] | None = None) -> Server:
    """Start a server on a free port; the caller must end it."""
    process = stepflow.start("serve", "--port", "0", *arguments, env=env)
    assert process.stdout is not None and process.stderr is not None
    first = process.stdout.readline()
    if not first:
        pytest.fail(process.stderr.read())
    return Server(process, f"http://127.0.0.1:{json.loads(first)['port']}/api/v1")


@contextmanager
def serving(stepflow: Stepflow, *arguments: str) -> Iterator[Server]:
    """Run a server during the block. After it, the server must exit with 0, without output and without children."""
    server = begin(stepflow, *arguments)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        ended = stepflow.end(server.process)
    assert (ended.code, ended.stdout) == (0, ""), ended.stderr


@contextmanager
def killed(stepflow: Stepflow, *arguments: str) -> Iterator[Server]:
    """Run a server during the block, then kill it."""
    server = begin(stepflow, *arguments)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGKILL)
        stepflow.end(server.process)


def until_ready(server: Server, status: int = 200) -> dict[str, Any]:
    """Wait until `/ready` answers with this status."""
    deadline = time.monotonic() + 60
    while (answer := server("GET", "/ready")).status != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer.body
