"""Checks from outside whether a worker, in whatever language, keeps the worker protocol.

    report = check_worker(["stepflow-worker", "components.py"])
    assert report.holds, str(report)

Each check has the id of a rule in `docs/protocol.md`. It speaks raw bytes, over a pipe or HTTP, and
shares no code with `stepflow.worker`: a mistake in that cannot hide here.
"""

from stepflow.testing.conformance._failures import CannotStart
from stepflow.testing.conformance._report import Exchange, Report, Result, Verdict
from stepflow.testing.conformance._run import check_worker, rules

__all__ = ["check_worker", "rules", "Report", "Result", "Verdict", "Exchange", "CannotStart"]
