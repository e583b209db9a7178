"""A real server, for the tests that need one."""

import json
import subprocess
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The address of a server in memory, on a port that the system has chosen."""
    orchestrator = pytest.importorskip(
        "stepflow.orchestrator", reason="stepflow-orchestrator is not installed"
    )
    server = subprocess.Popen(
        [orchestrator.find_server_binary(), "serve", "--port", "0", "--memory"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stdout.close()
