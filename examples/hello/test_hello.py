"""The smallest example does what its README says."""

import json
import subprocess
from collections.abc import Callable

Stepflow = Callable[..., subprocess.CompletedProcess[str]]


def test_hello_greets_the_person_in_its_input(stepflow: Stepflow) -> None:
    ran = stepflow("run", "examples/hello/flow.yaml", "--input", "examples/hello/input.json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"outcome": "success", "result": {"greeting": "Hello, Ada!"}}


def test_hello_has_nothing_for_validate_to_report(stepflow: Stepflow) -> None:
    checked = stepflow("validate", "examples/hello/flow.yaml")
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert "warning[" not in said
