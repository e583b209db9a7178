"""The methods of a context for components that are plain functions."""

import asyncio
import concurrent.futures
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from stepflow.protocol import BlobType, Method, ResultOrder, RunStatusProtocol
from stepflow.worker._context.requests import FlowDocument, OpenExecute, Requests
from stepflow.worker.errors import Cancelled, ExecuteEnded, ServerTimeout

T = TypeVar("T")


class SyncContext:
    """The methods of a `StepflowContext` for code that runs in a separate thread: they block.

    `StepflowContext` describes what they take, return and raise.
    """

    def __init__(self, execute: OpenExecute) -> None:
        self._execute = execute
        self._requests = _BlockingRequests(execute)

    def wait_cancelled(self, timeout: float | None = None) -> bool:
        """Wait until the execute is asked to end, or for `timeout` seconds; return whether it was."""
        _refuse_on_a_loop("wait_cancelled")
        waiting = self._execute.asked_to_end()
        try:
            waiting.result(timeout)
        except TimeoutError:
            waiting.cancel()
        return self._execute.reason_to_end is not None

    def put_blob(self, data: Any, blob_type: BlobType = BlobType.data) -> str:
        """Store a JSON value and return its id."""
        return _done(self._requests.put_blob(data, blob_type))

    def get_blob(self, blob_id: str) -> Any:
        """Return the value that is stored under an id."""
        return _done(self._requests.get_blob(blob_id))

    def evaluate_flow(
        self, flow: FlowDocument, input: Any, overrides: Any = None, key: str | None = None
    ) -> Any:
        """Run a flow as a part of this step, wait for it, and return its output."""
        return _done(self._requests.evaluate_flow(flow, input, overrides, key))

    def evaluate_flow_by_id(
        self, flow_id: str, input: Any, overrides: Any = None, key: str | None = None
    ) -> Any:
        """Do what `evaluate_flow` does, with the id of a flow that the server has stored."""
        return _done(self._requests.evaluate_flow_by_id(flow_id, input, overrides, key))

    def evaluate_run(
        self,
        flow: FlowDocument,
        inputs: Sequence[Any],
        max_concurrency: int | None = None,
        overrides: Any = None,
        key: str | None = None,
    ) -> list[Any]:
        """Run a flow once for each input, wait for all, and return the outputs."""
        return _done(self._requests.evaluate_run(flow, inputs, max_concurrency, overrides, key))

    def evaluate_run_by_id(
        self,
        flow_id: str,
        inputs: Sequence[Any],
        max_concurrency: int | None = None,
        overrides: Any = None,
        key: str | None = None,
    ) -> list[Any]:
        """Do what `evaluate_run` does, with the id of a flow that the server has stored."""
        return _done(
            self._requests.evaluate_run_by_id(flow_id, inputs, max_concurrency, overrides, key)
        )

    def submit_run(
        self,
        flow: FlowDocument,
        inputs: Sequence[Any],
        wait: bool = False,
        max_concurrency: int | None = None,
        overrides: Any = None,
        *,
        key: str | None = None,
        detached: bool = False,
    ) -> RunStatusProtocol:
        """Start a run of a flow, with one item for each input, and return its status."""
        return _done(
            self._requests.submit_run(
                flow, inputs, wait, max_concurrency, overrides, key=key, detached=detached
            )
        )

    def submit_run_by_id(
        self,
        flow_id: str,
        inputs: Sequence[Any],
        wait: bool = False,
        max_concurrency: int | None = None,
        overrides: Any = None,
        *,
        key: str | None = None,
        detached: bool = False,
    ) -> RunStatusProtocol:
        """Do what `submit_run` does, with the id of a flow that the server has stored."""
        return _done(
            self._requests.submit_run_by_id(
                flow_id, inputs, wait, max_concurrency, overrides, key=key, detached=detached
            )
        )

    def get_run(
        self,
        run_id: str,
        wait: bool = False,
        include_results: bool = False,
        result_order: ResultOrder = ResultOrder.by_index,
    ) -> RunStatusProtocol:
        """Return the status of a run."""
        return _done(self._requests.get_run(run_id, wait, include_results, result_order))


class _BlockingRequests(Requests):
    """The requests as coroutines that never suspend."""

    def __init__(self, execute: OpenExecute) -> None:
        self._execute = execute

    async def _answer(self, answer: "Future[T]", method: Method, *, waits: bool) -> T:
        try:
            return answer.result(None if waits else self.answer_timeout)
        except TimeoutError:
            answer.cancel()
            raise ServerTimeout(method, self.answer_timeout) from None
        except concurrent.futures.CancelledError:
            if (reason := self._execute.reason_to_end) is not None:
                raise Cancelled(reason) from None
            raise ExecuteEnded(method) from None


def _done(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never suspends."""
    try:
        _refuse_on_a_loop(getattr(coroutine, "__name__", "…"))
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        coroutine.close()
    raise RuntimeError("a blocking request was suspended")


def _refuse_on_a_loop(name: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"`context.sync.{name}` would block the event loop: use `await context.{name}(…)`"
    )
