"""Executes that are known to be running: they have sent a request, and wait for the answer."""

from dataclasses import dataclass

from stepflow.protocol import Method
from stepflow.testing.conformance._expect import ensure, output
from stepflow.testing.conformance._failures import Inapplicable
from stepflow.testing.conformance._worker import Id, Json, Worker

_MOST = 64


@dataclass(frozen=True)
class Held:
    """An open execute of `/conformance/blob`, and the request that it waits for."""

    worker: Worker
    id: Id
    put: Json

    def release(self) -> Json:
        """Answer its requests, and return its own answer."""
        params = self.put.get("params") or {}
        blob_id = "0" * 64
        self.worker.reply(self.put, {"blob_id": blob_id})
        get = self.worker.called(Method.blobs_get, by=self.id)
        self.worker.reply(get, {"data": params.get("data"), "blob_type": "data"})
        return self.worker.answer(self.id)

    def finish(self) -> None:
        """Answer its requests. Raises `Broken` unless it then succeeds."""
        output(self.release())


def hold(worker: Worker, input: Json = "held", *, id: Id | None = None, **members: Json) -> Held:
    """Begin an execute that stores a blob, and do not answer its request yet."""
    begun = worker.begin_execute(worker.probe("blob"), input, id=id, **members)
    return Held(worker, begun, worker.called(Method.blobs_put, by=begun))


def fill(worker: Worker) -> list[Held]:
    """Begin as many such executes as the worker runs at once."""
    capacity = worker.known.capabilities.get("max_concurrency")
    if not isinstance(capacity, int) or isinstance(capacity, bool):
        raise Inapplicable("the worker announces no `max_concurrency`")
    if capacity > _MOST:
        raise Inapplicable(f"the worker runs {capacity} at once; at most {_MOST} are tried")
    ensure(capacity >= 1, "a worker that runs none at once can do nothing")
    return [hold(worker, number, task_id=f"held-{number}") for number in range(capacity)]
