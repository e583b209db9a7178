"""Flows over workers that serve HTTP: those that the server starts, and those that it finds at an address."""

import json

from tests.cli.conftest import Stepflow
from tests.cli.workers import http_worker

WORKER = """\
from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


@server.component
def double(input: int) -> int:
    return input * 2


@server.component
async def remember(input: int, context: StepflowContext) -> dict:
    blob_id = await context.put_blob({"kept": input})
    return await context.get_blob(blob_id)
"""

FLOW = """\
steps:
  - {id: twice, component: /python/double, input: {$input: "$"}}
  - {id: kept, component: /python/remember, input: {$step: twice}}
output: {$step: kept}
"""

STARTED = """\
plugins:
  python: {type: stepflow, command: stepflow-worker, args: [components.py, --http], instances: 2}
routes: {"/python/{*component}": [{plugin: python}]}
"""

FOUND = """\
plugins:
  python: {type: stepflow, url: ["${ONE}", "${OTHER}"], token: secret}
routes: {"/python/{*component}": [{plugin: python}]}
"""


TOKEN = ("--token", "secret")


def test_a_flow_runs_over_processes_that_serve_http(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": STARTED})
    stepflow.write(inputs_jsonl="1\n2\n3\n")
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert ended.code == 0, ended.stderr
    results = [json.loads(line)["result"] for line in ended.stdout.splitlines()]
    assert sorted(one["kept"] for one in results) == [2, 4, 6]


def test_a_flow_runs_over_workers_at_addresses(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": FOUND})
    with http_worker(stepflow.folder, *TOKEN) as one, http_worker(stepflow.folder, *TOKEN) as other:
        env = {"ONE": one.url, "OTHER": other.url}
        ended = stepflow("run", "flow.yaml", "--input-json", "21", env=env)
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["result"] == {"kept": 42}


def test_addresses_where_nothing_listens_end_the_command(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": FOUND})
    with http_worker(stepflow.folder, *TOKEN) as worker:
        gone = worker.url
    ended = stepflow("run", "flow.yaml", "--input-json", "1", env={"ONE": gone, "OTHER": gone})
    assert (ended.code, ended.stdout) == (3, "")
    assert f"the worker at `{gone}` is not reached" in ended.stderr
    assert "correct the plugin's `url`" in ended.stderr
