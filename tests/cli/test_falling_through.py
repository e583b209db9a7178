"""A route with several plugins uses the first one that has the component, in any order of their start."""

import json
import os

from tests.cli.conftest import Stepflow
from tests.cli.serving import serving

CONFIG = {
    "plugins": {
        "worker": {"type": "stepflow", "command": "stepflow-worker", "args": ["components.py"]},
        "builtin": {"type": "builtin"},
    },
    "routes": {"/{*component}": [{"plugin": "worker"}, {"plugin": "builtin"}]},
}

# It lists its components only when the test allows it.
COMPONENTS = """\
from contextlib import asynccontextmanager

from stepflow.worker import StepflowServer


@asynccontextmanager
async def waits(_: StepflowServer):
    open("gate").close()
    yield


server = StepflowServer(lifespan=waits)


@server.component
def work(input: int) -> int:
    return input + 1
"""

FLOW = {
    "steps": [
        {"id": "worked", "component": "/work", "input": {"$input": "$"}},
        {"id": "passed", "component": "/noop", "input": {"$step": "worked"}},
    ],
    "output": {"$step": "passed"},
}
ONLY_BUILTIN = {
    "steps": [{"id": "passed", "component": "/noop", "input": {"$input": "$"}}],
    "output": {"$step": "passed"},
}


def test_a_step_waits_until_its_plugins_have_said_what_they_serve(stepflow: Stepflow) -> None:
    stepflow.write(components_py=COMPONENTS, config_yml=json.dumps(CONFIG))
    os.mkfifo(stepflow.folder / "gate")
    with serving(stepflow, "--config", "config.yml") as server:
        flows = [FLOW, ONLY_BUILTIN]
        runs = [server("POST", "/runs", {"flow": flow, "input": [1]}).body for flow in flows]
        (stepflow.folder / "gate").write_text("")
        items = []
        for run in runs:
            server("GET", f"/runs/{run['runId']}?wait=true&timeoutSecs=60")
            items += server("GET", f"/runs/{run['runId']}/items").body["items"]
    assert [item["result"] for item in items] == [
        {"outcome": "success", "result": 2},
        {"outcome": "success", "result": 1},
    ]
