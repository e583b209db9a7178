"""The requests of components to the server, written once for async and for blocking components."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from stepflow.protocol import (
    BlobsGetParams,
    BlobsGetResult,
    BlobsPutParams,
    BlobsPutResult,
    BlobType,
    ComponentsExecuteParams,
    Method,
    ResultOrder,
    RunsGetParams,
    RunsSubmitParams,
    RunStatusProtocol,
    json_text,
)
from stepflow.worker._values.encoding import encoded
from stepflow.worker.errors import FlowFailed, UnusableAnswer

if TYPE_CHECKING:
    from stepflow.protocol import FlowBuilder
    from stepflow.protocol.flow import Flow

T = TypeVar("T")

FlowDocument: TypeAlias = "Flow | FlowBuilder | Mapping[str, Any]"
"""A flow: a `Flow`, a `FlowBuilder`, or the JSON object of a flow file."""


RequestParams: TypeAlias = BlobsPutParams | BlobsGetParams | RunsSubmitParams | RunsGetParams


class OpenExecute(Protocol):
    """The execute that a context belongs to, as far as the context needs it."""

    @property
    def params(self) -> ComponentsExecuteParams:
        """What the server sent."""

    @property
    def session_id(self) -> str | None:
        """The id of its HTTP session; None over stdio and without a session."""

    @property
    def state(self) -> object:
        """What the lifespan yields."""

    @property
    def reason_to_end(self) -> str | None:
        """Why it was asked to end; None until then."""

    def asked_to_end(self) -> "Future[None]":
        """Return a future that is done once there is a reason to end."""

    def send(
        self, method: Method, params: RequestParams, result: type[T], *, waits: bool = False
    ) -> "Future[T]":
        """Send a request; the future is done, from any thread, when its answer arrives.

        waits: whether the request waits for a run, which may take long.
        """


class Requests:
    """A component's requests. All of them may raise one of these:

    - `RequestRefused` when the server answers with an error
    - `ServerTimeout` when it does not answer within 30 s; a request that waits for a run has no time
      limit except the execute's own deadline
    - `Cancelled` once the execute is asked to end
    - `ExecuteEnded` in a thread or task that continues after the execute has ended
    """

    answer_timeout = 30.0
    """How long a request waits for the server, in seconds."""

    _execute: OpenExecute

    async def put_blob(self, data: Any, blob_type: BlobType = BlobType.data) -> str:
        """Store a JSON value and return its id: 64 hex digits, a hash of the content.

        blob_type: `data` for any value, `flow` for a flow document.

        Raises `NoJsonForm`, with the place, for a value that has no JSON form. All methods that
        send a value raise it, too.
        """
        params = BlobsPutParams(data=encoded(data), blob_type=BlobType(blob_type), **self._sender())
        result = await self._ask(Method.blobs_put, params, BlobsPutResult)
        return result.blob_id

    async def get_blob(self, blob_id: str) -> Any:
        """Return the value that is stored under an id."""
        params = BlobsGetParams(blob_id=blob_id, **self._sender())
        result = await self._ask(Method.blobs_get, params, BlobsGetResult)
        return result.data

    async def evaluate_flow(
        self, flow: FlowDocument, input: Any, overrides: Any = None, key: str | None = None
    ) -> Any:
        """Run a flow as a part of this step, wait for it, and return its output.

        overrides: patches to the flow's steps, `{"steps": {"<id>": {"value": …}}}`.
        key: your own name for this run. In another attempt of the step, the run with this key is
        used again instead of starting a new one. Without a key, the run with the same flow and the
        same input is used again.

        Raises `FlowFailed` when the flow fails. If you stop waiting, for example after a timeout of
        your own, the run goes on until this step ends.
        """
        return await self.evaluate_flow_by_id(await self._stored(flow), input, overrides, key)

    async def evaluate_flow_by_id(
        self, flow_id: str, input: Any, overrides: Any = None, key: str | None = None
    ) -> Any:
        """Do what `evaluate_flow` does, with the id of a flow that the server has stored."""
        status = await self.submit_run_by_id(
            flow_id, [input], wait=True, overrides=overrides, key=key
        )
        return outputs_of(Method.runs_submit, status)[0]

    async def evaluate_run(
        self,
        flow: FlowDocument,
        inputs: Sequence[Any],
        max_concurrency: int | None = None,
        overrides: Any = None,
        key: str | None = None,
    ) -> list[Any]:
        """Run a flow once for each input, wait for all, and return the outputs in the same order.

        max_concurrency: how many steps may be open at once; by default the server decides.
        overrides, key: as for `evaluate_flow`.

        Raises `FlowFailed` for the first input whose item failed.
        """
        flow_id = await self._stored(flow)
        return await self.evaluate_run_by_id(flow_id, inputs, max_concurrency, overrides, key)

    async def evaluate_run_by_id(
        self,
        flow_id: str,
        inputs: Sequence[Any],
        max_concurrency: int | None = None,
        overrides: Any = None,
        key: str | None = None,
    ) -> list[Any]:
        """Do what `evaluate_run` does, with the id of a flow that the server has stored."""
        status = await self.submit_run_by_id(
            flow_id,
            inputs,
            wait=True,
            max_concurrency=max_concurrency,
            overrides=overrides,
            key=key,
        )
        return outputs_of(Method.runs_submit, status)

    async def submit_run(
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
        """Start a run of a flow, with one item for each input, and return its status.

        wait: return only when the run has ended; the status then has the results.
        max_concurrency: how many steps may be open at once; by default the server decides.
        overrides, key: as for `evaluate_flow`.
        detached: the run goes on after this step has ended or was cancelled; otherwise it ends with
        the step. A detached run takes no `key`: no attempt of a step can use it again.
        """
        return await self.submit_run_by_id(
            await self._stored(flow),
            inputs,
            wait,
            max_concurrency,
            overrides,
            key=key,
            detached=detached,
        )

    async def submit_run_by_id(
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
        if isinstance(inputs, str | bytes | Mapping):
            kind = type(inputs).__name__
            raise TypeError(f"`inputs` is a list with one input for each item, not a `{kind}`")
        params = RunsSubmitParams(
            flow_id=flow_id,
            inputs=[encoded(each) for each in inputs],
            wait=wait,
            max_concurrency=max_concurrency,
            overrides=None if overrides is None else encoded(overrides),
            key=key,
            detached=detached or None,
            **self._sender(),
        )
        return await self._ask(Method.runs_submit, params, RunStatusProtocol, waits=wait)

    async def get_run(
        self,
        run_id: str,
        wait: bool = False,
        include_results: bool = False,
        result_order: ResultOrder = ResultOrder.by_index,
    ) -> RunStatusProtocol:
        """Return the status of a run.

        wait: return only when the run has ended.
        include_results: return the results of its items too, in `result_order`.
        """
        params = RunsGetParams(
            run_id=run_id,
            wait=wait,
            include_results=include_results,
            result_order=ResultOrder(result_order),
            **self._sender(),
        )
        return await self._ask(Method.runs_get, params, RunStatusProtocol, waits=wait)

    async def _answer(self, answer: "Future[T]", method: Method, *, waits: bool) -> T:
        raise NotImplementedError

    async def _ask(
        self, method: Method, params: RequestParams, result: type[T], *, waits: bool = False
    ) -> T:
        try:
            answer = self._execute.send(method, params, result, waits=waits)
        except (TypeError, ValueError):
            json_text(params)  # raises `NoJsonForm` with the place
            raise
        return await self._answer(answer, method, waits=waits)

    async def _stored(self, flow: FlowDocument) -> str:
        return await self.put_blob(document_of(flow), BlobType.flow)

    def _sender(self) -> dict[str, Any]:
        task = self._execute.params
        return {
            "observability": task.observability,
            "task_id": task.task_id,
            "attempt": task.attempt,
        }


def document_of(flow: FlowDocument) -> object:
    """Return the document of a flow, as it is stored."""
    if isinstance(flow, str):
        raise TypeError(
            "a flow is an object, not a text: for the id of a stored flow use the method that ends "
            "in `_by_id`; read a file first"
        )
    build = getattr(flow, "build", None)
    return flow if build is None else build()


def outputs_of(method: Method, status: RunStatusProtocol) -> list[Any]:
    """Return the outputs of a run that has ended. Raises `FlowFailed` for the first item that failed."""
    if status.results is None or len(status.results) != status.items.total:
        raise UnusableAnswer(method, f"the run {status.run_id} has not all of its results")
    outputs = []
    for item in sorted(status.results, key=lambda each: each.item_index):
        result = item.result
        if result is None or result.outcome != "success":
            raise FlowFailed(status.run_id, item.item_index, result.error if result else None)
        outputs.append(result.result)
    return outputs
