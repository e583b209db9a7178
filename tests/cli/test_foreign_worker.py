"""A worker that was written only from the protocol's document, with the standard library."""

import json
import sys
from pathlib import Path

from tests.cli.conftest import Stepflow

WORKER = Path(__file__).parents[2] / "packages/stepflow-testing/tests/workers/serve.py"

CONFIG = {
    "plugins": {"plain": {"type": "stepflow", "command": sys.executable, "args": [str(WORKER)]}},
    "routes": {"/plain/{*component}": [{"plugin": "plain"}]},
}
SLOW = {"seconds": 600}
FLOW = {
    "name": "plain",
    "description": "Calls a worker that is not ours.",
    "steps": [
        {"id": "echo", "component": "/plain/conformance/echo", "input": {"$input": "$"}},
        {"id": "blob", "component": "/plain/conformance/blob", "input": {"$step": "echo"}},
        {
            "id": "slow",
            "component": "/plain/conformance/sleep",
            "input": SLOW,
            "timeout": "200ms",
            "onError": {"action": "useDefault", "defaultValue": "timed out"},
        },
    ],
    "output": [{"$step": "blob", "path": "$.data"}, {"$step": "slow"}],
}


def test_our_server_runs_a_worker_that_uses_only_the_standard_library(stepflow: Stepflow) -> None:
    stepflow.write(config_yml=json.dumps(CONFIG), flow_json=json.dumps(FLOW))
    ended = stepflow(
        "run", "flow.json", "--config", "config.yml", "--input-json", '{"b":1,"a":2.0}'
    )
    assert ended.code == 0, ended.stderr
    assert ended.stdout == '{"outcome":"success","result":[{"b":1,"a":2.0},"timed out"]}\n'
