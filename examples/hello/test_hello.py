"""The smallest example does what its README says."""

import json
import subprocess
from collections.abc import Callable

Stepflow = Callable[..., subprocess.CompletedProcess[str]]


def test_hello_greets_the_person_in_its_input(stepflow: Stepflow) -> None:
    ran = stepflow("run", "examples/hello/flow.yaml", "--input", "examples/hello/input.json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"outcome": "success", "result": {"greeting": "Hello, Ada!"}}
