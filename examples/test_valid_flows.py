"""`validate` reports nothing for the flow of every example."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Stepflow = Callable[..., subprocess.CompletedProcess[str]]

FLOWS = sorted(str(flow.parent.name) for flow in Path(__file__).parent.glob("*/flow.yaml"))
STARTED_BEFOREHAND = "http-worker"
"""Needs its worker on a port: its own test validates it."""


@pytest.mark.parametrize("example", [name for name in FLOWS if name != STARTED_BEFOREHAND])
def test_a_flow_has_nothing_for_validate_to_report(stepflow: Stepflow, example: str) -> None:
    checked = stepflow("validate", f"examples/{example}/flow.yaml")
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert "warning[" not in said
