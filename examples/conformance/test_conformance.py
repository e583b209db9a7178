"""Our own worker keeps every rule of the protocol."""

import sys
from pathlib import Path

import pytest

from stepflow.testing.conformance import check_worker

WORKER = [sys.executable, "-m", "stepflow.worker", str(Path(__file__).with_name("components.py"))]


def test_our_worker_keeps_every_rule_over_stdio() -> None:
    report = check_worker(WORKER, patience=30)
    assert report.holds and not report.skipped, str(report)


def test_our_worker_keeps_every_rule_over_http() -> None:
    pytest.importorskip("uvicorn", reason="`stepflow-worker[http]` is not installed")
    command = [*WORKER, "--http", "--port", "0", "--token", "a-token"]
    report = check_worker(command, http=True, token="a-token", patience=30)
    assert report.holds and not report.skipped, str(report)
