"""Draining: what happens between SIGTERM and the end of the worker."""

import time

from stepflow.protocol import ErrorCode
from stepflow.testing.conformance._expect import error
from stepflow.testing.conformance._failures import Broken, Inapplicable, Unreachable
from stepflow.testing.conformance._held import hold
from stepflow.testing.conformance._http_worker import HttpWorker
from stepflow.testing.conformance._rule import rule
from stepflow.testing.conformance._worker import Json, Worker


@rule("drain.exits", fresh=True)
def exits(worker: Worker) -> None:
    """After SIGTERM a worker without work exits 0."""
    worker.handshake()
    worker.terminate()
    worker.must_exit()


@rule("drain.finishes", fresh=True)
def finishes(worker: Worker) -> None:
    """After SIGTERM open executes go on, and may still send requests; then the worker exits 0."""
    worker.handshake()
    _drains(worker)


@rule("drain.notAccepted", fresh=True)
def not_accepted(worker: Worker) -> None:
    """After SIGTERM a new execute is refused -32006 to a server that sent `capabilities`."""
    if isinstance(worker, HttpWorker) and worker.session is None:
        raise Inapplicable("without a session there are no capabilities")
    worker.handshake({})
    if (refusal := _drains(worker)) is not None:
        error(refusal, ErrorCode.NOT_ACCEPTED)


@rule("drain.legacy", fresh=True)
def legacy(worker: Worker) -> None:
    """After SIGTERM a new execute is refused -32000 to a server that sent no `capabilities`."""
    worker.handshake(False)
    if (refusal := _drains(worker)) is not None:
        error(refusal, ErrorCode.SERVER_ERROR)


def _drains(worker: Worker) -> Json:
    """Drain a worker with an open execute. Returns how a new execute is refused; `None` for a closed port."""
    probe = worker.succeeding
    held = hold(worker)
    worker.terminate()
    refusal = _first_refusal(worker, probe.path, probe.input)
    held.finish()
    worker.must_exit()
    return refusal


def _first_refusal(worker: Worker, path: str, input: Json) -> Json:
    """Return how a new execute is refused once the signal has arrived; `None` for a closed port."""
    deadline = time.monotonic() + worker.known.patience
    while time.monotonic() < deadline:
        try:
            answer = worker.execute(path, input)
        except Unreachable:
            if isinstance(worker, HttpWorker):
                return None
            raise
        if "error" in answer:
            return answer
    raise Broken(f"new work is still taken {worker.known.patience:g} s after SIGTERM")
