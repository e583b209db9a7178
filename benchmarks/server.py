"""A Stepflow server for the benchmarks: a real process on a free port, spoken to over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WORKSPACE = Path(__file__).parents[1] / "packages" / "stepflow-orchestrator"


def release_binary() -> Path:
    """The server as users get it: optimised. Built when it is not there or not fresh; minutes, the first time.

    `STEPFLOW_SERVER_BIN` names another one to be measured.
    """
    if named := os.environ.get("STEPFLOW_SERVER_BIN"):
        return Path(named)
    return built("--package", "stepflow-server")


def built(*target: str) -> Path:
    """A program of the workspace, optimised."""
    build = ["cargo", "build", "--release", "--locked", *target]
    # Cargo tells on stderr how far it is; what it built, on stdout, a JSON object per line.
    messages = subprocess.run(
        [*build, "--message-format", "json-render-diagnostics"],
        cwd=WORKSPACE,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    built = [json.loads(line).get("executable") for line in messages.splitlines()]
    return Path(next(path for path in reversed(built) if path))


class Server:
    """The API's client, in as many lines as the benchmarks need."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/api/v1"

    def store(self, flow: dict[str, object]) -> str:
        """Stores a flow; its id."""
        stored = self._post("/flows", {"flow": flow})
        assert stored["stored"], stored
        return str(stored["flowId"])

    def run(self, flow_id: str, *inputs: object) -> dict[str, Any]:
        """Runs a flow and waits for its end; the run as the API tells it."""
        run: dict[str, Any] = self._post(
            "/runs", {"flowId": flow_id, "input": list(inputs), "wait": True}
        )
        return run

    def submit(self, flow_id: str, *inputs: object) -> dict[str, Any]:
        """Begins a run; the run as it is at that moment."""
        run: dict[str, Any] = self._post("/runs", {"flowId": flow_id, "input": list(inputs)})
        return run

    def wait(self, run_id: str) -> dict[str, Any]:
        """Waits for a run's end."""
        with urllib.request.urlopen(f"{self._base}/runs/{run_id}?wait=true") as response:
            run: dict[str, Any] = json.load(response)
        return run

    def cancel(self, run_id: str) -> dict[str, Any]:
        """Cancels a run; the run as it is then."""
        run: dict[str, Any] = self._post(f"/runs/{run_id}/cancel", {})
        return run

    def _post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            self._base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)


@contextmanager
def serving(config: dict[str, object]) -> Iterator[Server]:
    """A server with this config that ends with the block."""
    binary = release_binary()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stepflow-config.yml")
        path.write_text(json.dumps(config))
        command = [str(binary), "serve", "--port", "0", "--config", str(path)]
        # Workers are looked for in the environment that runs the benchmark.
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": scripts}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        try:
            assert process.stdout is not None
            yield Server(json.loads(process.stdout.readline())["port"])
        finally:
            process.terminate()
            process.wait()
