"""Everything that the developer's guide of the published SDK shows, done with this one.

`TO_COME` is what the guide shows and this SDK does not do yet.
"""

import asyncio
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stepflow.client import FlowBuilder as ClientsFlowBuilder
from stepflow.client import FlowResultSuccess, StepflowClient
from stepflow.protocol import flow_id
from stepflow.testing import MockContext
from stepflow.worker import FlowBuilder, StepflowContext, Value
from tests.cli.conftest import Stepflow, stepflow

__all__ = ["stepflow"]  # the fixture

ROOT = Path(__file__).parents[1]

TO_COME = {
    "`ApiClient`, `Configuration`, `FlowApi`, `RunApi` and their models": "client",
    "`flow_api.list_flows()`": "server, client",
    "`stepflow_py --http --host --port`, `await server.run(host=, port=)`": "worker",
    "sessions, `/runtime/events`, `/health` of a worker, the fallback after 5 s": "worker",
    "plugins with a `url`": "worker",
    "`StepflowStreamingContext`": "worker",
    "`stepflow_py` without a file, `/udf`": "worker",
}


@pytest.mark.parametrize("missing", ["ApiClient", "Configuration", "FlowApi", "RunApi"])
def test_what_is_still_to_come_is_not_there(missing: str) -> None:
    """When this fails, the row leaves `TO_COME` and gets a test of its own."""
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

FLOW = """\
name: guide
steps:
  - id: only
    component: /python/{component}
    input: {{ $input: $ }}
output: {{ $step: only }}
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
def test_a_client_asks_for_health_stores_a_flow_and_runs_it(server_url: str) -> None:
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
