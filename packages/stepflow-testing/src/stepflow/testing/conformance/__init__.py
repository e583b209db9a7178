"""Checks from outside whether a worker, in any language, follows the worker protocol.

    report = check_worker(["stepflow-worker", "components.py"])
    assert report.holds, str(report)

Each check has the id of a rule in `docs/protocol.md`. The checks send raw bytes, over a pipe or HTTP,
and share no code with `stepflow.worker`: a mistake there cannot be repeated here.
"""

from stepflow.testing.conformance._failures import CannotStart
from stepflow.testing.conformance._report import Exchange, Report, Result, Verdict
from stepflow.testing.conformance._run import check_worker, rules

__all__ = ["check_worker", "rules", "Report", "Result", "Verdict", "Exchange", "CannotStart"]
