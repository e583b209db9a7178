"""What a component may ask of the server while it runs."""

import asyncio
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from stepflow.protocol import (
    BlobsGetParams,
    BlobsGetResult,
    BlobsPutParams,
    BlobsPutResult,
    BlobType,
    ComponentsExecuteParams,
    Method,
)
from stepflow.worker.errors import ServerTimeout

T = TypeVar("T")

ANSWER_TIMEOUT = 30.0
"""How long a component's request waits for the server, in seconds."""


class ServerCalls(Protocol):
    """The way to the server, whatever the transport is."""

    def send(self, method: Method, params: Any, result: type[T]) -> "Future[T]":
        """Send a request; the future is done, from any thread, when its answer arrives."""


class StepflowContext:
    """A running component's view of its run, and its way to the server.

    Async components await its methods; sync ones call the same names on `context.sync`.
    """

    def __init__(
        self, task: ComponentsExecuteParams, server: ServerCalls, session_id: str | None = None
    ) -> None:
        self._task = task
        self._server = server
        self._session_id = session_id

    @property
    def run_id(self) -> str | None:
        """The run that the step belongs to."""
        return self._task.observability.run_id

    @property
    def flow_id(self) -> str | None:
        """The flow that runs, by its content's id."""
        return self._task.observability.flow_id

    @property
    def step_id(self) -> str | None:
        """The step's id in its flow."""
        return self._task.observability.step_id

    @property
    def attempt(self) -> int:
        """Which try this is, counted from 1."""
        return self._task.attempt

    @property
    def task_id(self) -> str | None:
        """The step of this item, the same for all attempts: a key for idempotent side effects."""
        return self._task.task_id

    @property
    def session_id(self) -> str | None:
        """The HTTP session; `None` over stdio."""
        return self._session_id

    @property
    def sync(self) -> "SyncContext":
        """The same requests for components that are plain functions."""
        return SyncContext(self)

    async def put_blob(self, data: Any, blob_type: BlobType = BlobType.data) -> str:
        """Store a JSON value and return its id, 64 hex digits that follow from its content.

        Raises `RequestRefused` when the server will not, `ServerTimeout` after 30 s.
        """
        result = await _awaited(self._put(data, blob_type), Method.blobs_put)
        return result.blob_id

    async def get_blob(self, blob_id: str) -> Any:
        """Return the value stored under an id.

        Raises `RequestRefused` when there is none, `ServerTimeout` after 30 s.
        """
        result = await _awaited(self._get(blob_id), Method.blobs_get)
        return result.data

    def _put(self, data: Any, blob_type: BlobType) -> "Future[BlobsPutResult]":
        task = self._task
        params = BlobsPutParams(
            data=data,
            blob_type=BlobType(blob_type),
            observability=task.observability,
            task_id=task.task_id,
            attempt=task.attempt,
        )
        return self._server.send(Method.blobs_put, params, BlobsPutResult)

    def _get(self, blob_id: str) -> "Future[BlobsGetResult]":
        task = self._task
        params = BlobsGetParams(
            blob_id=blob_id,
            observability=task.observability,
            task_id=task.task_id,
            attempt=task.attempt,
        )
        return self._server.send(Method.blobs_get, params, BlobsGetResult)


class SyncContext:
    """The requests of a `StepflowContext`, for code that runs in a thread of its own."""

    def __init__(self, context: StepflowContext) -> None:
        self._context = context

    def put_blob(self, data: Any, blob_type: BlobType = BlobType.data) -> str:
        """Store a JSON value and return its id. Errors as in `StepflowContext.put_blob`."""
        _refuse_on_a_loop("put_blob")
        return _waited_for(self._context._put(data, blob_type), Method.blobs_put).blob_id

    def get_blob(self, blob_id: str) -> Any:
        """Return the value stored under an id. Errors as in `StepflowContext.get_blob`."""
        _refuse_on_a_loop("get_blob")
        return _waited_for(self._context._get(blob_id), Method.blobs_get).data


async def _awaited(answer: "Future[T]", method: Method) -> T:
    try:
        return await asyncio.wait_for(asyncio.wrap_future(answer), ANSWER_TIMEOUT)
    except TimeoutError:
        raise ServerTimeout(method, ANSWER_TIMEOUT) from None


def _waited_for(answer: "Future[T]", method: Method) -> T:
    try:
        return answer.result(ANSWER_TIMEOUT)
    except TimeoutError:
        answer.cancel()
        raise ServerTimeout(method, ANSWER_TIMEOUT) from None


def _refuse_on_a_loop(name: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"`context.sync.{name}` would block the event loop: use `await context.{name}(…)`"
    )
