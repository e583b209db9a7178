"""Each distribution works when only its wheel is installed in an empty environment."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.wheels.environment import Environment

Make = Callable[..., Environment]

COMPONENTS = """\
from stepflow.worker import StepflowServer
server = StepflowServer()
@server.component
def double(input: dict[str, int]) -> dict[str, int]:
    return {"n": input["n"] * 2}
"""

EXECUTE = {
    "component": "/double",
    "input": {"n": 21},
    "attempt": 1,
    "observability": {"run_id": "r", "flow_id": "f", "step_id": "s"},
}

FLOW = """\
steps:
  - id: keep
    component: /builtin/noop
    input: { word: { $input: $.word } }
output: { $step: keep }
"""

USERS_TEST = """\
import asyncio

async def component(input, context):
    return {"blob_id": await context.put_blob(input)}

def test_component(stepflow_context):
    output = asyncio.run(component({"a": 1}, stepflow_context))
    assert stepflow_context.sync.get_blob(output["blob_id"]) == {"a": 1}
"""


def installed(environment: Environment) -> set[str]:
    code = "import importlib.metadata as m; print(*{d.name for d in m.distributions()})"
    return set(environment.python(code).split())


def typed_into(
    environment: Environment, program: str, *messages: dict[str, object]
) -> dict[int, Any]:
    """Type messages into a worker, close its input, and return its results by id."""
    lines = "".join(json.dumps({"jsonrpc": "2.0", **each}) + "\n" for each in messages)
    said = environment.run(program, "components.py", stdin=lines).stdout
    return {each["id"]: each["result"] for each in map(json.loads, said.splitlines())}


def test_protocol(environment: Make) -> None:
    alone = environment("stepflow-protocol")
    assert installed(alone) == {"stepflow-protocol", "msgspec"}
    code = "from stepflow.protocol import blob_id; print(blob_id({'a': 1}))"
    assert alone.python(code).strip() == (
        "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    )


def test_worker(environment: Make) -> None:
    alone = environment("stepflow-worker", "pip")
    listed = json.loads(alone.run("python", "-m", "pip", "list", "--format=json").stdout)
    assert {each["name"] for each in listed} == {
        "stepflow-worker",
        "stepflow-protocol",
        "msgspec",
        "pip",
    }

    (alone.folder / "components.py").write_text(COMPONENTS)
    answers = typed_into(
        alone,
        "stepflow-worker",
        {"id": 1, "method": "initialize", "params": {"runtime_protocol_version": 1}},
        {"method": "initialized", "params": {}},
        {"id": 2, "method": "components/list", "params": {}},
        {"id": 3, "method": "components/execute", "params": EXECUTE},
    )
    assert answers[1]["server_protocol_version"] == 1
    assert [each["component"] for each in answers[2]["components"]] == ["/double"]
    assert answers[3] == {"output": {"n": 42}}

    nothing = alone.run("stepflow-worker", exit_code=2)
    assert "`stepflow-worker components.py`" in nothing.stderr


@pytest.mark.parametrize(
    ("extra", "listed"), [("udf", ["/udf"]), ("langchain", ["/langchain/invoke"])]
)
def test_workers_own_components(environment: Make, extra: str, listed: list[str]) -> None:
    alone = environment(f"stepflow-worker[{extra}]")
    table = alone.run("stepflow-worker", "--list").stdout.splitlines()
    assert [line.split()[0] for line in table[1:]] == listed


@pytest.mark.parametrize("extra", ["otel", "uvloop"])
def test_workers_other_extras(environment: Make, extra: str) -> None:
    alone = environment(f"stepflow-worker[{extra}]")
    (alone.folder / "components.py").write_text(COMPONENTS)
    answers = typed_into(
        alone, "stepflow-worker", {"id": 1, "method": "components/execute", "params": EXECUTE}
    )
    assert answers[1] == {"output": {"n": 42}}


@pytest.mark.parametrize("program", ["stepflow_worker", "stepflow_py"])
def test_workers_old_names(environment: Make, program: str) -> None:
    alone = environment("stepflow-worker")
    (alone.folder / "components.py").write_text(COMPONENTS)
    answers = typed_into(
        alone,
        program,
        {"id": 1, "method": "initialize", "params": {"runtime_protocol_version": 1}},
        {"id": 2, "method": "components/info", "params": {"component": "/double"}},
    )
    assert answers[2]["info"]["component"] == "/double"


def test_worker_http(environment: Make) -> None:
    alone = environment("stepflow-worker[http]")
    (alone.folder / "components.py").write_text(COMPONENTS)
    with alone.start("stepflow-worker", "components.py", "--http", "--port", "0") as worker:
        try:
            assert worker.stdout is not None
            port = json.loads(worker.stdout.readline())["port"]
            request = {"jsonrpc": "2.0", "id": 1, "method": "components/execute", "params": EXECUTE}
            code = (
                "import urllib.request as u\n"
                f"headers = {{'content-type': 'application/json', 'accept': '*/*'}}\n"
                f"body = {json.dumps(request)!r}.encode()\n"
                f"request = u.Request('http://127.0.0.1:{port}/', body, headers)\n"
                "print(u.urlopen(request).read().decode())"
            )
            assert json.loads(alone.python(code))["result"] == {"output": {"n": 42}}
        finally:
            worker.terminate()


def test_worker_without_the_extra_says_how_to_serve_over_http(environment: Make) -> None:
    alone = environment("stepflow-worker")
    (alone.folder / "components.py").write_text(COMPONENTS)
    refused = alone.run("stepflow-worker", "components.py", "--http", exit_code=1)
    assert "pip install 'stepflow-worker[http]'" in refused.stderr
    assert refused.stdout == ""


def test_testing(environment: Make) -> None:
    alone = environment("stepflow-testing")
    assert "stepflow-orchestrator" not in installed(alone)
    (alone.folder / "test_mine.py").write_text(USERS_TEST)
    assert "1 passed" in alone.run("pytest", "-q", "test_mine.py").stdout


def test_testing_checks_a_worker(environment: Make) -> None:
    alone = environment("stepflow-testing")
    (alone.folder / "components.py").write_text(
        "from stepflow.worker import StepflowServer\nserver = StepflowServer()\n"
    )
    checker = ("python", "-m", "stepflow.testing.conformance", "--rule", "envelope.ids")
    ran = alone.run(*checker, "--", "stepflow-worker", "components.py")
    assert "1 ok, 0 failed, 0 skipped" in ran.stdout


def test_orchestrator(orchestrator: Environment) -> None:
    assert installed(orchestrator) == {"stepflow-orchestrator", "stepflow-protocol", "msgspec"}
    version = orchestrator.run("stepflow", "--version").stdout.split()[-1]
    code = "import importlib.metadata as m; print(m.version('stepflow-orchestrator'))"
    assert version == orchestrator.python(code).strip()

    schema = json.loads(orchestrator.run("stepflow-server", "schema", "protocol").stdout)
    assert "$defs" in schema

    (orchestrator.folder / "flow.yaml").write_text(FLOW)
    ran = orchestrator.run("stepflow", "run", "flow.yaml", "--input-json", '{"word": "hello"}')
    assert json.loads(ran.stdout) == {"outcome": "success", "result": {"word": "hello"}}


def test_client(environment: Make, orchestrator: Environment) -> None:
    alone = environment("stepflow-client")
    assert installed(alone).isdisjoint({"stepflow-worker", "stepflow-orchestrator", "pytest"})
    with orchestrator.start("stepflow-server", "serve", "--port", "0") as server:
        try:
            assert server.stdout is not None
            port = json.loads(server.stdout.readline())["port"]
            code = (
                "from stepflow.client import StepflowClient\n"
                f"with StepflowClient('http://127.0.0.1:{port}') as stepflow:\n"
                f"    run = stepflow.run(flow={FLOW!r}, input={{'word': 'hi'}}, wait=True)\n"
                "    print(run.status, run.result.result)"
            )
            assert alone.python(code).strip() == "completed {'word': 'hi'}"
        finally:
            server.terminate()
