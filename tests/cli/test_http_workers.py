"""Flows over workers that serve HTTP: those that the server starts, and those that it finds at an address."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import Stepflow

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


@contextmanager
def worker(folder: Path) -> Iterator[str]:
    """A worker that a person has started; its address."""
    command = [sys.executable, "-m", "stepflow.worker", "components.py", "--http", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--token", "secret"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.terminate()
        process.communicate()


def test_a_flow_runs_over_processes_that_serve_http(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": STARTED})
    stepflow.write(inputs_jsonl="1\n2\n3\n")
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert ended.code == 0, ended.stderr
    results = [json.loads(line)["result"] for line in ended.stdout.splitlines()]
    assert sorted(one["kept"] for one in results) == [2, 4, 6]


def test_a_flow_runs_over_workers_at_addresses(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": FOUND})
    with worker(stepflow.folder) as one, worker(stepflow.folder) as other:
        ended = stepflow("run", "flow.yaml", "--input-json", "21", env={"ONE": one, "OTHER": other})
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["result"] == {"kept": 42}


def test_addresses_where_nothing_listens_end_the_command(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": FOUND})
    with worker(stepflow.folder) as gone:
        pass
    ended = stepflow("run", "flow.yaml", "--input-json", "1", env={"ONE": gone, "OTHER": gone})
    assert (ended.code, ended.stdout) == (3, "")
    assert f"the worker at `{gone}` is not reached" in ended.stderr
    assert "correct the plugin's `url`" in ended.stderr
