"""Everything that the developer's guide of the published SDK shows, done with this SDK.

`TO_COME` lists what the guide shows and this SDK cannot do yet.
"""

import asyncio
import json
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from stepflow.client import FlowBuilder as ClientsFlowBuilder
from stepflow.client import FlowResultSuccess, StepflowClient
from stepflow.protocol import flow_id
from stepflow.testing import MockContext
from stepflow.worker import FlowBuilder, StepflowContext, StepflowStreamingContext, Value
from tests.cli.conftest import Stepflow, stepflow

__all__ = ["stepflow"]  # the fixture

ROOT = Path(__file__).parents[1]

TO_COME = {
    "`ApiClient`, `Configuration`, `FlowApi`, `RunApi` and their models": "client",
    "`flow_api.list_flows()`": "server, client",
}


@pytest.mark.parametrize("missing", ["ApiClient", "Configuration", "FlowApi", "RunApi"])
def test_the_listed_gaps_are_real(missing: str) -> None:
    """When this fails, remove the row from `TO_COME` and write a test for it."""
    import stepflow.client

    assert not hasattr(stepflow.client, missing)


# Components

REGISTRATION = """\
import asyncio

import msgspec

from stepflow.worker import StepflowServer


class Order(msgspec.Struct):
    item: str
    pieces: int


class Bill(msgspec.Struct):
    lines: list[str]


server = StepflowServer()


@server.component
def bill(input: Order) -> Bill:
    return Bill(lines=[input.item] * input.pieces)


if __name__ == "__main__":
    asyncio.run(server.run())
"""

CONTEXT = """\
import msgspec

from stepflow.worker import StepflowContext, StepflowServer


class Letter(msgspec.Struct):
    body: dict


class Receipt(msgspec.Struct):
    blob_id: str
    body: dict


server = StepflowServer()


@server.component
async def archive(input: Letter, context: StepflowContext) -> Receipt:
    blob_id = await context.put_blob(input.body)
    return Receipt(blob_id=blob_id, body=await context.get_blob(blob_id))
"""

OVER_HTTP = """\
import argparse
import asyncio

import msgspec

from stepflow.worker import StepflowContext, StepflowServer


class Letter(msgspec.Struct):
    body: dict


class Receipt(msgspec.Struct):
    kind: str


server = StepflowServer()


@server.component
async def archive(input: Letter, context: StepflowContext) -> Receipt:
    return Receipt(kind=type(context).__name__)


@server.component
def weigh(input: Letter) -> int:
    return len(input.body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(server.run(host=options.host, port=options.port))
"""

FLOW = """\
name: guide
steps:
  - id: only
    component: /python/{component}
    input: {{ $input: $ }}
output: {{ $step: only }}
"""

FOUND = """\
plugins:
  python:
    type: stepflow
    url: "{url}"

routes:
  "/python/{{*component}}":
    - plugin: python
"""

CONFIG = """\
plugins:
  python:
    type: stepflow
    command: {command}
    args: {arguments}

routes:
  "/python/{{*component}}":
    - plugin: python
"""

ORDER = '{"item":"tea","pieces":2}'


@pytest.mark.server
@pytest.mark.parametrize("command", ["stepflow-worker", "stepflow_worker", "stepflow_py"])
def test_a_registered_component_is_launched_over_stdio(stepflow: Stepflow, command: str) -> None:
    stepflow.write(
        orders_py=REGISTRATION,
        flow_yaml=FLOW.format(component="bill"),
        config_yml=CONFIG.format(command=command, arguments="[orders.py]"),
    )
    ran = stepflow("run", "flow.yaml", "--config", "config.yml", "--input-json", ORDER)
    assert ran.stdout == '{"outcome":"success","result":{"lines":["tea","tea"]}}\n', ran.stderr


@pytest.mark.server
def test_a_file_that_serves_itself_is_a_worker(stepflow: Stepflow) -> None:
    stepflow.write(
        orders_py=REGISTRATION,
        flow_yaml=FLOW.format(component="bill"),
        config_yml=CONFIG.format(command=sys.executable, arguments="[orders.py]"),
    )
    ran = stepflow("run", "flow.yaml", "--config", "config.yml", "--input-json", ORDER)
    assert json.loads(ran.stdout)["result"] == {"lines": ["tea", "tea"]}, ran.stderr


@pytest.mark.server
def test_a_context_keeps_blobs(stepflow: Stepflow) -> None:
    stepflow.write(components_py=CONTEXT, flow_yaml=FLOW.format(component="archive"))
    ran = stepflow("run", "flow.yaml", "--input-json", '{"body":{"x":1}}', "--output-only")
    assert json.loads(ran.stdout) == {
        "blob_id": "5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22",
        "body": {"x": 1},
    }, ran.stderr


def test_a_context_can_be_a_mock(stepflow_context: MockContext) -> None:
    async def keep(input: dict[str, int], context: StepflowContext) -> str:
        return await context.put_blob(input)

    blob_id = asyncio.run(keep({"x": 1}, stepflow_context))
    assert asyncio.run(stepflow_context.get_blob(blob_id)) == {"x": 1}


BOTH = {"Accept": "application/json, text/event-stream"}


@contextmanager
def over_http(folder: Path, *command: str) -> Iterator[httpx.Client]:
    """Start a worker on a free port, and return a client of it."""
    (folder / "letters.py").write_text(OVER_HTTP, encoding="utf-8")
    options = ("letters.py", "--host", "127.0.0.1", "--port", "0")
    with subprocess.Popen(
        [*command, *options], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as worker:
        try:
            assert worker.stdout is not None
            port = json.loads(worker.stdout.readline())["port"]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=BOTH) as client:
                yield client
        finally:
            worker.terminate()


def execute(component: str) -> dict[str, Any]:
    """Return the message that executes a component."""
    params = {"component": component, "input": {"body": {"x": 1}}, "attempt": 1}
    params["observability"] = {}
    return {"jsonrpc": "2.0", "id": "1", "method": "components/execute", "params": params}


@pytest.mark.parametrize(
    "command",
    [(str(Path(sys.executable).with_name("stepflow_py")), "--http"), (sys.executable,)],
    ids=["the command", "a script"],
)
def test_a_worker_serves_over_http(tmp_path: Path, command: tuple[str, ...]) -> None:
    with over_http(tmp_path, *command) as client:
        assert client.get("/health").json()["status"] == "healthy"
        assert client.post("/", json=execute("/weigh")).json()["result"] == {"output": 1}
        info = client.get("/components/weigh").json()
        assert info["output_schema"] == {"type": "integer"}


def test_a_component_with_a_context_answers_as_a_stream(tmp_path: Path) -> None:
    with over_http(tmp_path, sys.executable) as client:
        answer = client.post("/", json=execute("/archive"))
    assert answer.headers["content-type"].startswith("text/event-stream")
    result = json.loads(answer.text.removeprefix("data: "))["result"]
    assert result == {"output": {"kind": "StepflowStreamingContext"}}
    assert issubclass(StepflowStreamingContext, StepflowContext)


def test_a_session_has_an_address_of_its_own(tmp_path: Path) -> None:
    with (
        over_http(tmp_path, sys.executable) as client,
        client.stream("GET", "/runtime/events") as events,
    ):
        lines = events.iter_lines()
        assert next(lines) == "event: endpoint"
        endpoint = json.loads(next(lines).removeprefix("data: "))["endpoint"]
        assert endpoint.startswith("/?sessionId=")
        answer = client.post(endpoint, json=execute("/weigh")).json()
        assert answer["result"] == {"output": 1}


@pytest.mark.server
def test_a_plugin_is_the_url_of_a_worker(stepflow: Stepflow) -> None:
    with over_http(stepflow.folder, sys.executable) as client:
        flow = FLOW.format(component="archive")
        stepflow.write(flow_yaml=flow, config_yml=FOUND.format(url=client.base_url))
        options = ("--config", "config.yml", "--input-json", '{"body":{}}')
        ran = stepflow("run", "flow.yaml", *options)
    assert json.loads(ran.stdout)["result"] == {"kind": "StepflowStreamingContext"}, ran.stderr


class WithoutSessions(BaseHTTPRequestHandler):
    """A worker without sessions; it does not answer a request for one."""

    RESULTS: ClassVar[dict[str, Any]] = {
        "initialize": {"server_protocol_version": 1},
        "components/list": {"components": [{"component": "/weigh"}]},
        "components/execute": {"output": "no session"},
    }

    def do_GET(self) -> None:
        self.rfile.read(1)  # until the server gives up

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {
            "jsonrpc": "2.0",
            "id": asked.get("id"),
            "result": self.RESULTS.get(asked["method"]),
        }
        self.send_response(200 if "id" in asked else 202)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


@pytest.mark.server
def test_a_worker_that_opens_no_session_in_time_is_called_without_one(stepflow: Stepflow) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), WithoutSessions) as worker:
        threading.Thread(target=worker.serve_forever).start()
        url = f"http://127.0.0.1:{worker.server_port}"
        stepflow.write(flow_yaml=FLOW.format(component="weigh"), config_yml=FOUND.format(url=url))
        ran = stepflow("run", "flow.yaml", "--config", "config.yml", "--input-json", "{}")
        worker.shutdown()
    assert json.loads(ran.stdout)["result"] == "no session", ran.stderr


def test_without_a_file_a_worker_serves_user_defined_functions() -> None:
    command = [str(Path(sys.executable).with_name("stepflow_py")), "--list"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "/udf " in ran.stdout


# Flows


def test_a_flow_is_built_in_python() -> None:
    builder = FlowBuilder(name="built")
    builder.add_step(
        id="prompt",
        component="/builtin/create_messages",
        input_data={"user_prompt": Value.literal("Say f'{hello}'")},
    )
    builder.set_output(Value.step("prompt"))
    flow = builder.build()
    assert flow.name == "built"
    assert flow.steps is not None
    assert flow.steps[0].input == {"user_prompt": {"$literal": "Say f'{hello}'"}}
    assert flow.output == {"$step": "prompt"}
    assert ClientsFlowBuilder is FlowBuilder


@pytest.mark.server
def test_a_client_reads_the_health_stores_a_flow_and_runs_it(server_url: str) -> None:
    builder = FlowBuilder(name="exact")
    copy = builder.add_step(id="copy", component="/builtin/noop", input_data=Value.input())
    builder.set_output({"b": copy["n"], "a": 2**53 + 1})
    flow = builder.build()
    with StepflowClient(server_url) as client:
        assert client.health().status == "healthy"
        stored = client.store_flow(flow)
        assert stored.stored and stored.flow_id == flow_id(flow)
        for run in (
            client.run(flow_id=stored.flow_id, input={"n": 2**63 - 1}, wait=True),
            client.run(flow=flow, input={"n": 2**63 - 1}, wait=True),
        ):
            assert isinstance(run.result, FlowResultSuccess)
            assert (
                json.dumps(run.result.result) == '{"b": 9223372036854775807, "a": 9007199254740993}'
            )


# Commands


@pytest.mark.server
def test_generated_types_are_up_to_date() -> None:
    command = [sys.executable, "generate.py", "--check"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_tasks_have_the_guides_names() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"test", "typecheck", "fmt", "lint", "check", "wheels"} <= settings["tool"]["poe"][
        "tasks"
    ].keys()
    assert (ROOT / "scripts/test-python-versions.sh").stat().st_mode & 0o111
