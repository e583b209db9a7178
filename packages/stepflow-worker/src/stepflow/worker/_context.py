"""What a component may ask of the server while it runs."""

import asyncio
import concurrent.futures
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
from stepflow.worker.errors import Cancelled, ServerTimeout

T = TypeVar("T")

ANSWER_TIMEOUT = 30.0
"""How long a component's request waits for the server, in seconds."""


class OpenExecute(Protocol):
    """The execute that a context belongs to, and its way to the server."""

    @property
    def params(self) -> ComponentsExecuteParams:
        """What the server sent."""

    @property
    def session_id(self) -> str | None:
        """The HTTP session that it came by."""

    @property
    def state(self) -> object:
        """What the lifespan yields."""

    @property
    def reason_to_end(self) -> str | None:
        """Why it should end before it does by itself; nothing until then."""

    def asked_to_end(self) -> "Future[None]":
        """Return a future that is done once there is a reason to end."""

    def send(
        self, method: Method, params: Any, result: type[T], *, waits: bool = False
    ) -> "Future[T]":
        """Send a request; the future is done, from any thread, when its answer arrives.

        waits: whether the answer may take as long as a run does.
        """


class StepflowContext:
    """A running component's view of its run, and its way to the server.

    Async components await its methods; sync ones call the same names on `context.sync`.
    """

    def __init__(self, execute: OpenExecute) -> None:
        self._execute = execute

    @property
    def run_id(self) -> str | None:
        """The run that the step belongs to."""
        return self._execute.params.observability.run_id

    @property
    def flow_id(self) -> str | None:
        """The flow that runs, by its content's id."""
        return self._execute.params.observability.flow_id

    @property
    def step_id(self) -> str | None:
        """The step's id in its flow."""
        return self._execute.params.observability.step_id

    @property
    def attempt(self) -> int:
        """Which try this is, counted from 1."""
        return self._execute.params.attempt

    @property
    def task_id(self) -> str | None:
        """The step of this item, the same for all attempts: a key for idempotent side effects."""
        return self._execute.params.task_id

    @property
    def session_id(self) -> str | None:
        """The HTTP session; `None` over stdio."""
        return self._execute.session_id

    @property
    def state(self) -> Any:
        """What the worker's `lifespan` yields; `None` without one."""
        return self._execute.state

    @property
    def cancelled(self) -> bool:
        """Whether the execute was asked to end: it was cancelled, or has used up its time."""
        return self._execute.reason_to_end is not None

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` when the execute was asked to end."""
        if (reason := self._execute.reason_to_end) is not None:
            raise Cancelled(reason)

    async def wait_cancelled(self) -> None:
        """Return when the execute is asked to end."""
        await asyncio.wrap_future(self._execute.asked_to_end())

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
        task = self._execute.params
        params = BlobsPutParams(
            data=data,
            blob_type=BlobType(blob_type),
            observability=task.observability,
            task_id=task.task_id,
            attempt=task.attempt,
        )
        return self._execute.send(Method.blobs_put, params, BlobsPutResult)

    def _get(self, blob_id: str) -> "Future[BlobsGetResult]":
        task = self._execute.params
        params = BlobsGetParams(
            blob_id=blob_id,
            observability=task.observability,
            task_id=task.task_id,
            attempt=task.attempt,
        )
        return self._execute.send(Method.blobs_get, params, BlobsGetResult)


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
    except concurrent.futures.CancelledError:
        raise Cancelled from None


def _refuse_on_a_loop(name: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"`context.sync.{name}` would block the event loop: use `await context.{name}(…)`"
    )
