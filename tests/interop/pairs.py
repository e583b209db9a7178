"""Each server with each worker that it must be able to use."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from stepflow.orchestrator import find_server_binary
from tests.interop.published import environment

Json: TypeAlias = Any
Command: TypeAlias = Sequence[str | Path]
PATIENCE = 60.0
PORT_LINE = r'^\{"port": ?(\d+)\}'
WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Pair:
    """A running server, its worker behind `/py/`, and whether the worker is ours."""

    api: httpx.Client
    is_published_server: bool = False

    def run(self, flow: Json, input: Json = None) -> Json:
        """Run a flow to its end and return its FlowResult."""
        stored = self.api.post("/flows", json={"flow": {"name": "interop", **flow}}).json()
        assert stored["stored"], stored
        # The published server always waits, and does not know the member.
        request = {"flowId": stored["flowId"], "input": [input]}
        if not self.is_published_server:
            request["wait"] = True
        answer = self.api.post("/runs", json=request)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def step(self, component: str, input: Json) -> Json:
        """Run one step and return its FlowResult."""
        step = {"id": "only", "component": component, "input": {"$input": "$"}}
        return self.run({"steps": [step], "output": {"$step": "only"}}, input)

    def output(self, component: str, input: Json) -> Json:
        """Return the output of a step, which must succeed."""
        result = self.step(component, input)
        assert result["outcome"] == "success", result
        return result["result"]

    def components(self) -> list[Json]:
        """Return the components that the server lists."""
        listed: list[Json] = self.api.get("/components").json()["components"]
        return listed


@contextmanager
def started(command: Command, folder: Path, line: str, *, on_stderr: bool = False) -> Iterator[int]:
    """Start a program; yield the port from the first line of its output that matches."""
    log = folder / f"{Path(command[0]).name}.log"
    with (
        log.open("wb") as rest,
        subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=rest if on_stderr else subprocess.PIPE,
            stderr=subprocess.PIPE if on_stderr else rest,
        ) as process,
    ):
        output = process.stderr if on_stderr else process.stdout
        assert output is not None
        said = (re.search(line, each.decode()) for each in output)
        port = next(filter(None, said), None)
        drain = threading.Thread(target=output.read)
        drain.start()
        try:
            assert port, f"{command} ended without its port:\n{log.read_text()}"
            yield int(port[1])
        finally:
            process.terminate()
            process.wait(PATIENCE)
            drain.join(PATIENCE)


@contextmanager
def our_server(plugin: Json, folder: Path) -> Iterator[Pair]:
    """Run our server with one worker."""
    command: Command = [
        find_server_binary(),
        "serve",
        "--port",
        "0",
        "--config",
        _config(plugin, folder),
    ]
    with started(command, folder, PORT_LINE) as port, _api(port) as api:
        _until_ready(api)
        yield Pair(api)


@contextmanager
def published_server(plugin: Json, folder: Path) -> Iterator[Pair]:
    """Run the published server 0.9.0 with one worker."""
    inside = environment("stepflow-orchestrator-0.9.0")
    (binary,) = inside.glob("lib/python*/site-packages/stepflow_orchestrator/bin/stepflow-server")
    command: Command = [binary, "--port", "0", "--config", _config(plugin, folder)]
    with started(command, folder, PORT_LINE) as port, _api(port) as api:
        yield Pair(api, is_published_server=True)


def _until_ready(api: httpx.Client) -> None:
    """Wait until our server has done the handshake with its worker."""
    deadline = time.monotonic() + PATIENCE
    while (answer := api.get("/ready")).json().get("degraded") != []:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)


def _api(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=PATIENCE)


def _config(plugin: Json, folder: Path) -> Path:
    file = folder / "stepflow-config.yml"
    builtin = {"type": "builtin"}
    plugins = {"builtin": builtin, "worker": {"type": "stepflow", **plugin}}
    routes = {
        "/py/{*component}": [{"plugin": "worker"}],
        "/builtin/{*component}": [{"plugin": "builtin"}],
    }
    file.write_text(json.dumps({"plugins": plugins, "routes": routes}), encoding="utf-8")
    return file


def _python(name: str) -> str:
    return str(environment(name) / "bin/python")


@contextmanager
def worker_070_over_stdio(folder: Path) -> Iterator[Pair]:
    plugin = {
        "transport": "stdio",
        "command": _python("stepflow-py-0.7.0"),
        "args": [str(WORKER), "0.7.0", "stdio"],
    }
    with our_server(plugin, folder) as pair:
        yield pair


@contextmanager
def worker_070_over_http(folder: Path) -> Iterator[Pair]:
    command: Command = [_python("stepflow-py-0.7.0"), WORKER, "0.7.0", "http"]
    # It prints no port; its web server logs one.
    with started(command, folder, r"running on http://[^:]+:(\d+)", on_stderr=True) as port:
        plugin = {"transport": "http", "url": f"http://127.0.0.1:{port}"}
        with our_server(plugin, folder) as pair:
            yield pair


@contextmanager
def worker_092_by_command(folder: Path) -> Iterator[Pair]:
    # As in a config for the published server, which does not say that this is HTTP.
    plugin = {"command": _python("stepflow-py-0.9.2"), "args": [str(WORKER), "0.9.2", "http"]}
    with our_server(plugin, folder) as pair:
        yield pair


@contextmanager
def worker_092_by_url(folder: Path) -> Iterator[Pair]:
    command: Command = [_python("stepflow-py-0.9.2"), WORKER, "0.9.2", "http"]
    with (
        started(command, folder, PORT_LINE) as port,
        our_server({"url": f"http://127.0.0.1:{port}"}, folder) as pair,
    ):
        yield pair


@contextmanager
def our_worker_by_url(folder: Path) -> Iterator[Pair]:
    with (
        started([sys.executable, WORKER, "ours", "http"], folder, PORT_LINE) as port,
        published_server({"url": f"http://127.0.0.1:{port}"}, folder) as pair,
    ):
        yield pair


@contextmanager
def our_worker_by_command(folder: Path) -> Iterator[Pair]:
    plugin = {"command": sys.executable, "args": [str(WORKER), "ours", "http"]}
    with published_server(plugin, folder) as pair:
        yield pair


@contextmanager
def program_of_070(folder: Path) -> Iterator[Pair]:
    program = environment("stepflow-py-0.7.0") / "bin/stepflow_py"
    with our_server({"transport": "stdio", "command": str(program), "args": []}, folder) as pair:
        yield pair


@contextmanager
def program_of_092(folder: Path) -> Iterator[Pair]:
    program = environment("stepflow-py-0.9.2") / "bin/stepflow_worker"
    with our_server({"command": str(program)}, folder) as pair:
        yield pair


Make: TypeAlias = Callable[[Path], AbstractContextManager[Pair]]


def pairs() -> list[Make]:
    """Return all pairs with the components of `worker.py`."""
    return [
        worker_070_over_stdio,
        worker_070_over_http,
        worker_092_by_command,
        worker_092_by_url,
        our_worker_by_url,
        our_worker_by_command,
    ]
