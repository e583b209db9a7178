"""A Stepflow server for the benchmarks: a real process on a free port, used over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WORKSPACE = Path(__file__).parents[1] / "packages" / "stepflow-orchestrator"


def release_binary() -> Path:
    """Return the optimised server binary. It is built if it is missing or old; the first time this takes minutes.

    `STEPFLOW_SERVER_BIN` names another binary to measure.
    """
    if named := os.environ.get("STEPFLOW_SERVER_BIN"):
        return Path(named)
    return built("--package", "stepflow-server")


def built(*target: str) -> Path:
    """Return an optimised program of the workspace."""
    build = ["cargo", "build", "--release", "--locked", *target]
    # Cargo reports its progress on stderr, and what it built on stdout, one JSON object per line.
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
    """A minimal client of the API, with figures of the server's process."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._base = f"http://127.0.0.1:{port}/api/v1"
        self._process = Path("/proc", str(pid))

    def store(self, flow: dict[str, object]) -> str:
        """Store a flow; return its id."""
        stored = self._post("/flows", {"flow": flow})
        assert stored["stored"], stored
        return str(stored["flowId"])

    def run(self, flow_id: str, *inputs: object) -> dict[str, Any]:
        """Run a flow and wait for its end; return the run as the API's JSON."""
        run: dict[str, Any] = self._post(
            "/runs", {"flowId": flow_id, "input": list(inputs), "wait": True}
        )
        return run

    def submit(self, flow_id: str, *inputs: object) -> dict[str, Any]:
        """Begin a run; return its state."""
        run: dict[str, Any] = self._post("/runs", {"flowId": flow_id, "input": list(inputs)})
        return run

    def wait(self, run_id: str) -> dict[str, Any]:
        """Wait for a run's end; return its state."""
        with urllib.request.urlopen(f"{self._base}/runs/{run_id}?wait=true") as response:
            run: dict[str, Any] = json.load(response)
        return run

    def cancel(self, run_id: str) -> dict[str, Any]:
        """Cancel a run; return its state."""
        run: dict[str, Any] = self._post(f"/runs/{run_id}/cancel", {})
        return run

    def state(self, run_id: str) -> dict[str, Any]:
        """Return a run's state."""
        with urllib.request.urlopen(f"{self._base}/runs/{run_id}") as response:
            run: dict[str, Any] = json.load(response)
        return run

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has used, without its workers. Linux only."""
        fields = (self._process / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Return the bytes of memory that the process has now. Linux only."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """Return the most bytes of memory that the process has had since the last `forget_peak`. Linux only."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Let the peak of the memory begin again at what the process has now."""
        (self._process / "clear_refs").write_text("5")

    def _status(self, key: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:"))

    def _post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            self._base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)


@contextmanager
def serving(config: Mapping[str, object], *, durable: bool = False) -> Iterator[Server]:
    """Start a server with this config; it ends with the block. A durable one keeps its runs in a temporary folder."""
    binary = release_binary()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stepflow-config.yml")
        path.write_text(json.dumps(config))
        command = [str(binary), "serve", "--port", "0", "--config", str(path)]
        command += [] if durable else ["--memory"]
        # The server finds workers in the environment that runs the benchmark.
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": scripts}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        try:
            assert process.stdout is not None
            yield Server(json.loads(process.stdout.readline())["port"], process.pid)
        finally:
            process.terminate()
            process.wait()
