"""Cancel: `components/cancel`, for workers that announce it."""

import time

from stepflow.protocol import ErrorCode, Method
from stepflow.testing.conformance._expect import ensure, error, result
from stepflow.testing.conformance._failures import Broken, Inapplicable, Unreachable
from stepflow.testing.conformance._held import fill, hold
from stepflow.testing.conformance._rule import rule
from stepflow.testing.conformance._worker import Id, Json, Worker

_AGAIN = 0.5


def _require_cancel(worker: Worker) -> None:
    if worker.known.capabilities.get("cancel") is not True:
        raise Inapplicable("the worker does not announce `cancel`")


def _cancel(worker: Worker, task_id: str, attempt: int = 1) -> None:
    params = {"task_id": task_id, "attempt": attempt, "reason": "checked"}
    worker.notify(Method.components_cancel, params)


def _cancelled(worker: Worker, id: Id, task_id: str) -> Json:
    """Cancel until the execute is answered, and return the answer: over HTTP a cancel may arrive first."""
    deadline = time.monotonic() + worker.known.patience
    patience, worker.known.patience = worker.known.patience, _AGAIN
    try:
        while True:
            _cancel(worker, task_id)
            try:
                return worker.answer(id)
            except Unreachable:
                raise
            except Broken:
                if time.monotonic() > deadline:
                    raise Broken(f"it is not answered {patience:g} s after its cancel") from None
    finally:
        worker.known.patience = patience


@rule("cancel.running")
def running(worker: Worker) -> None:
    """A cancelled execute is ended and answered -32005."""
    _require_cancel(worker)
    path = worker.probe("sleep")
    id = worker.begin_execute(path, {"seconds": 600}, task_id="cancelled")
    error(_cancelled(worker, id, "cancelled"), ErrorCode.CANCELLED)
    result(worker.request(Method.components_list))


@rule("cancel.queued")
def queued(worker: Worker) -> None:
    """A cancelled execute that waits for its turn is answered -32005 at once."""
    _require_cancel(worker)
    held = fill(worker)
    id = worker.begin_execute(worker.probe("echo"), "waits", task_id="waits")
    error(_cancelled(worker, id, "waits"), ErrorCode.CANCELLED)
    for each in held:
        each.finish()


@rule("cancel.attempt")
def attempt(worker: Worker) -> None:
    """Another attempt of a cancelled task goes on."""
    _require_cancel(worker)
    held = hold(worker, task_id="twice-tried", attempt=2)
    _cancel(worker, "twice-tried", attempt=1)
    result(worker.request(Method.components_list))
    held.finish()


@rule("cancel.unknown")
def unknown(worker: Worker) -> None:
    """A cancel of an execute that is not open is ignored."""
    _require_cancel(worker)
    probe = worker.succeeding
    worker.execute(probe.path, probe.input, task_id="over")
    for task_id in ("never-seen", "over"):
        params = {"task_id": task_id, "attempt": 1}
        came = worker.unanswered(worker.text(method=Method.components_cancel, params=params))
        ensure(not came, "a cancel was answered")
