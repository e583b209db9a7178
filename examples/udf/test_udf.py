"""Code from a blob runs, but not with an input that does not fit its schema."""

import json
import subprocess
from collections.abc import Callable

Stepflow = Callable[..., subprocess.CompletedProcess[str]]


def test_the_code_in_the_flow_is_run(stepflow: Stepflow) -> None:
    ran = stepflow("run", "examples/udf/flow.yaml", "--input", "examples/udf/input.json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["result"] == {"warm": 2, "warmest": 24.5}


def test_an_input_that_does_not_fit_fails_with_its_place(stepflow: Stepflow) -> None:
    ran = stepflow("run", "examples/udf/flow.yaml", "--input-json", '{"celsius": []}')
    assert ran.returncode == 1
    error = json.loads(ran.stdout)["error"]
    assert "$.input.celsius" in json.dumps(error)
