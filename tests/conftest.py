"""A real server, for tests that only send requests to it."""

import json
import os
import random
import subprocess
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """Choose the seed of random cases once: parallel test processes have to collect the same cases."""
    os.environ.setdefault("STEPFLOW_SECRETS_SEED", str(random.randrange(10**9)))


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server, on a port that the system has chosen."""
    orchestrator = pytest.importorskip(
        "stepflow.orchestrator", reason="stepflow-orchestrator is not installed"
    )
    server = subprocess.Popen(
        [orchestrator.find_server_binary(), "serve", "--port", "0"],
        cwd=tmp_path_factory.mktemp("server"),
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stdout.close()
