"""What a component knows about its run, and how it sends requests to the server."""

import asyncio
from concurrent.futures import Future
from typing import Any, TypeVar

from stepflow.protocol import Method
from stepflow.worker._context.requests import OpenExecute, Requests
from stepflow.worker._context.sync_context import SyncContext
from stepflow.worker.errors import Cancelled, ExecuteEnded, ServerTimeout

T = TypeVar("T")


class StepflowContext(Requests):
    """What a running component knows about its run, and its requests to the server.

    Async components await its methods. Sync components call the same methods on `context.sync`.
    """

    def __init__(self, execute: OpenExecute) -> None:
        self._execute = execute

    @property
    def run_id(self) -> str | None:
        """The id of the run that the step belongs to; `None` if the server sent none."""
        return self._execute.params.observability.run_id

    @property
    def flow_id(self) -> str | None:
        """The id of the flow that runs, which is a hash of its content; `None` if the server sent none."""
        return self._execute.params.observability.flow_id

    @property
    def step_id(self) -> str | None:
        """The step's id in its flow; `None` if the server sent none."""
        return self._execute.params.observability.step_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, counted from 1."""
        return self._execute.params.attempt

    @property
    def task_id(self) -> str | None:
        """Names the step of this item, the same for all attempts: a key for idempotent side effects.

        `None` if the server sent none.
        """
        return self._execute.params.task_id

    @property
    def session_id(self) -> str | None:
        """The id of the HTTP session; `None` over stdio, and for a client without a session."""
        return self._execute.session_id

    @property
    def state(self) -> Any:
        """What the worker's `lifespan` yields; `None` without one."""
        return self._execute.state

    @property
    def cancelled(self) -> bool:
        """Whether the execute was asked to end: it was cancelled, or its time is over."""
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
        """The same requests as blocking methods, for components that are plain functions."""
        return SyncContext(self._execute)

    async def _answer(self, answer: "Future[T]", method: Method, *, waits: bool) -> T:
        try:
            # Not `wait_for`: on Python 3.11 it loses a cancellation that arrives with the answer.
            async with asyncio.timeout(None if waits else self.answer_timeout):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            raise ServerTimeout(method, self.answer_timeout) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.cancelled or not answer.cancelled() or (task is not None and task.cancelling()):
                raise
            raise ExecuteEnded(method) from None


class StepflowStreamingContext(StepflowContext):
    """The context of a component that is served over HTTP. Its requests are sent as events, on the
    stream that ends with its answer.
    """
