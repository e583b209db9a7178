"""A `StepflowContext` whose server is a dictionary, for calling a component as a plain function."""

import uuid
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec

from stepflow.protocol import (
    BlobsGetParams,
    BlobsGetResult,
    BlobsPutParams,
    BlobsPutResult,
    BlobType,
    ComponentsExecuteParams,
    ErrorCode,
    Method,
    ObservabilityContext,
    RequestRefused,
    blob_id,
)
from stepflow.worker import Cancelled, StepflowContext

T = TypeVar("T")


class MockContext(StepflowContext):
    """Stands in for the context that the server gives to a running component.

    It is the real one, with a server in memory behind it: blobs are stored under their real ids,
    come back as plain JSON values, and an unknown one raises `RequestRefused`. What a component
    reads of its run may be set, here or between two calls:

    - `attempt`: from 1
    - `task_id`: the same for all attempts of one step of one item; a fresh UUID by default
    - `run_id` (a fresh UUID by default), `flow_id`, `step_id`, `session_id`
    - `state`: what the worker's `lifespan` yields
    """

    # Declared as attributes because those of the real context can only be read.
    run_id: str | None = None
    flow_id: str | None = None
    step_id: str | None = None
    attempt: int = 1
    task_id: str | None = None
    session_id: str | None = None
    state: object = None

    def __init__(
        self,
        *,
        attempt: int = 1,
        task_id: str | None = None,
        run_id: str | None = None,
        flow_id: str | None = "0" * 64,
        step_id: str | None = "step",
        session_id: str | None = None,
        state: object = None,
    ) -> None:
        self._server = _Server()
        super().__init__(self._server)
        self.attempt = attempt
        self.task_id = task_id or str(uuid.uuid4())
        self.run_id = run_id or str(uuid.uuid4())
        self.flow_id = flow_id
        self.step_id = step_id
        self.session_id = session_id
        self.state = state

    def cancel(self, reason: str = "the execute was cancelled") -> None:
        """Ask the component to end, as the server would."""
        self._server.end(reason)

    @property
    def blobs(self) -> dict[str, object]:
        """A copy of every blob, by its id."""
        return {id: msgspec.json.decode(text) for id, (_, text) in self._server.stored.items()}


class _Server:
    """The execute's way to a server in memory. Values are kept as bytes: nothing is shared."""

    params = ComponentsExecuteParams("/mock", None, 1, ObservabilityContext())
    session_id: str | None = None
    state: object = None
    reason_to_end: str | None = None

    def __init__(self) -> None:
        self.stored: dict[str, tuple[BlobType, bytes]] = {}
        self._watchers: list[Future[None]] = []

    def asked_to_end(self) -> "Future[None]":
        watcher: Future[None] = Future()
        if self.reason_to_end is None:
            self._watchers.append(watcher)
        else:
            watcher.set_result(None)
        return watcher

    def end(self, reason: str) -> None:
        self.reason_to_end = reason
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    def send(
        self, method: Method, params: Any, result: type[T], *, waits: bool = False
    ) -> "Future[T]":
        if self.reason_to_end is not None:
            raise Cancelled(self.reason_to_end)
        answer: Future[T] = Future()
        try:
            answer.set_result(msgspec.convert(self._answer(method, params), result))
        except RequestRefused as refused:
            answer.set_exception(refused)
        return answer

    def _answer(self, method: Method, params: object) -> BlobsPutResult | BlobsGetResult:
        match params:
            case BlobsPutParams(data=data, blob_type=blob_type):
                id = blob_id(data)
                self.stored[id] = (blob_type, msgspec.json.encode(data))
                return BlobsPutResult(blob_id=id)
            case BlobsGetParams(blob_id=id) if id in self.stored:
                blob_type, text = self.stored[id]
                return BlobsGetResult(data=msgspec.json.decode(text), blob_type=blob_type)
            case BlobsGetParams(blob_id=id):
                hint = "a test puts it there first: `blob_id = context.sync.put_blob(value)`"
                problem = f"no blob `{id}` in this MockContext; {hint}"
                raise RequestRefused(method, ErrorCode.SERVER_ERROR, problem)
            case _:
                raise RequestRefused(
                    method, ErrorCode.METHOD_NOT_FOUND, "a MockContext knows only blobs"
                )
