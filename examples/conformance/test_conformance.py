"""Our own worker keeps every rule of the protocol."""

import sys
from pathlib import Path

from stepflow.testing.conformance import check_worker

WORKER = [sys.executable, "-m", "stepflow.worker", str(Path(__file__).with_name("components.py"))]


def test_our_worker_keeps_every_rule_over_stdio() -> None:
    report = check_worker(WORKER, patience=30)
    assert report.holds and not report.skipped, str(report)
