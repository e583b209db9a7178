"""The server that a `MockContext` talks to: blobs and runs in memory."""

import uuid
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

import msgspec

from stepflow.protocol import (
    BlobsGetParams,
    BlobsGetResult,
    BlobsPutParams,
    BlobsPutResult,
    BlobType,
    ComponentsExecuteParams,
    ErrorCode,
    ErrorKind,
    ExecutionStatus,
    FlowError,
    FlowResult,
    ItemResult,
    ItemStatistics,
    Method,
    ObservabilityContext,
    RequestRefused,
    RunsGetParams,
    RunsSubmitParams,
    RunStatusProtocol,
    blob_id,
    json_text,
)
from stepflow.testing._mock_checks import (
    check_blob,
    check_max_concurrency,
    check_overrides,
    check_runs,
    content_id,
    run_id,
)
from stepflow.worker import Cancelled

T = TypeVar("T")

RunFlow: TypeAlias = Callable[[Any, Any], Any]
"""Takes a flow's document and an input, and returns the flow's output. If it raises, the flow fails."""


class MockServer:
    """A server in memory for one execute. It keeps values as bytes, so they are never shared."""

    params = ComponentsExecuteParams("/mock", None, 1, ObservabilityContext())
    session_id: str | None = None
    state: object = None

    def __init__(self, run_flow: RunFlow | None) -> None:
        self.reason_to_end: str | None = None
        self.stored: dict[str, tuple[BlobType, bytes]] = {}
        self.submitted: list[RunsSubmitParams] = []
        self._run_flow = run_flow
        self._runs: dict[str, RunStatusProtocol] = {}
        self._keys: dict[str, RunStatusProtocol] = {}
        self._watchers: list[Future[None]] = []

    def end(self, reason: str) -> None:
        """Ask the execute to end."""
        self.reason_to_end = reason
        while self._watchers:
            watcher = self._watchers.pop()
            if not watcher.done():
                watcher.set_result(None)

    def asked_to_end(self) -> "Future[None]":
        watcher: Future[None] = Future()
        self._watchers.append(watcher)
        if self.reason_to_end is not None:
            self.end(self.reason_to_end)
        return watcher

    def send(
        self, method: Method, params: object, result: type[T], *, waits: bool = False
    ) -> "Future[T]":
        if self.reason_to_end is not None:
            raise Cancelled(self.reason_to_end)
        answer: Future[T] = Future()
        try:
            answer.set_result(msgspec.convert(self._answer(method, params), result))
        except RequestRefused as refused:
            answer.set_exception(refused)
        return answer

    def _answer(self, method: Method, params: object) -> object:
        match params:
            case BlobsPutParams(data=data, blob_type=blob_type):
                check_blob(method, bytes(data), blob_type)
                id = blob_id(data)
                self.stored[id] = (blob_type, bytes(data))
                return BlobsPutResult(blob_id=id)
            case BlobsGetParams(blob_id=text):
                _read(method, params)
                if (asked_for := content_id(text)) is None:
                    problem = f"the params do not fit: `{text}` is not the id of a blob"
                    raise RequestRefused(method, ErrorCode.INVALID_PARAMS, problem)
                blob_type, stored = self._blob(method, asked_for)
                return BlobsGetResult(data=msgspec.json.decode(stored), blob_type=blob_type)
            case RunsSubmitParams():
                return self._submit(method, _read(method, params))
            case RunsGetParams():
                return self._run(method, _read(method, params))
            case _:
                problem = "a MockContext knows only blobs and runs"
                raise RequestRefused(method, ErrorCode.METHOD_NOT_FOUND, problem)

    def _blob(self, method: Method, id: str) -> tuple[BlobType, bytes]:
        if id not in self.stored:
            hint = "a test puts it there first: `blob_id = context.sync.put_blob(value)`"
            problem = f"no blob `{id}` in this MockContext; {hint}"
            raise RequestRefused(method, ErrorCode.SERVER_ERROR, problem)
        return self.stored[id]

    def _run(self, method: Method, params: RunsGetParams) -> RunStatusProtocol:
        if (id := run_id(params.run_id)) is None:
            problem = f"`runId`: `{params.run_id}` is not a run id"
            raise RequestRefused(method, ErrorCode.INVALID_ID, problem)
        if id not in self._runs:
            problem = f"no run `{id}` was submitted to this MockContext"
            raise RequestRefused(method, ErrorCode.NOT_FOUND, problem)
        return _status(self._runs[id], with_results=bool(params.include_results))

    def _submit(self, method: Method, params: RunsSubmitParams) -> RunStatusProtocol:
        self.submitted.append(params)
        id, flow = self._flow(method, params)
        if self._run_flow is None:
            hint = "give it a function: `MockContext(run_flow=lambda flow, input: …)`"
            problem = f"this MockContext runs no flows; {hint}"
            raise RequestRefused(method, ErrorCode.SERVER_ERROR, problem)
        run = None if params.key is None else self._keys.get(params.key)
        if run is None:
            results = [_result(self._run_flow, flow, each) for each in params.inputs]
            run = _ended(id, results)
            self._runs[run.run_id] = run
            if params.key is not None:
                self._keys[params.key] = run
        elif run.flow_id != id:
            problem = (
                f"the step has given this `key` to run `{run.run_id}` of another flow already: "
                "each sub-run needs one of its own"
            )
            raise RequestRefused(method, ErrorCode.SERVER_ERROR, problem)
        return _status(run, with_results=bool(params.wait))

    def _flow(self, method: Method, params: RunsSubmitParams) -> tuple[str, Any]:
        """Return the id and the document of the flow in a valid request. Refuses any other request."""
        if (id := content_id(params.flow_id)) is None:
            problem = f"`flowId`: `{params.flow_id}` is not a flow id"
            raise RequestRefused(method, ErrorCode.INVALID_ID, problem)
        if params.key is not None and params.detached:
            problem = "`key` is a step's own name for a sub-run: it takes no `detached`"
            raise RequestRefused(method, ErrorCode.INVALID_PARAMS, problem)
        check_max_concurrency(method, params.max_concurrency)
        if id not in self.stored:
            hint = 'a test puts it there first: `context.sync.put_blob(flow, "flow")`'
            problem = f"no flow `{id}` in this MockContext; {hint}"
            raise RequestRefused(method, ErrorCode.NOT_FOUND, problem)
        document = msgspec.json.decode(self.stored[id][1])
        check_runs(method, id, document)
        check_overrides(method, params.overrides, document)
        return id, document


def _read(method: Method, params: T) -> T:
    """Return the params as they arrive at a server. Raises what encoding them raises."""
    text = msgspec.json.encode(params)
    try:
        return msgspec.json.decode(text, type=type(params))
    except msgspec.ValidationError as error:
        problem = f"the params do not fit: {error}"
        raise RequestRefused(method, ErrorCode.INVALID_PARAMS, problem) from None


def _status(run: RunStatusProtocol, *, with_results: bool) -> RunStatusProtocol:
    return run if with_results else msgspec.structs.replace(run, results=None)


def _result(run_flow: RunFlow, flow: object, input: object) -> FlowResult:
    try:
        output = json_text(run_flow(flow, input))  # returned as plain JSON, as a server does
        return FlowResult("success", result=msgspec.json.decode(output))
    except Exception as error:  # noqa: BLE001, the test's function stands for the flow
        return FlowResult("failed", error=FlowError(500, str(error), ErrorKind.component_failed))


def _ended(flow_id: str, results: list[FlowResult]) -> RunStatusProtocol:
    now = datetime.now(UTC).isoformat()
    failed = sum(each.outcome == "failed" for each in results)
    return RunStatusProtocol(
        run_id=str(uuid.uuid4()),
        flow_id=flow_id,
        status=ExecutionStatus.failed if failed else ExecutionStatus.completed,
        items=ItemStatistics(len(results), len(results) - failed, 0, failed, 0),
        created_at=now,
        completed_at=now,
        results=[
            ItemResult(
                index,
                ExecutionStatus.completed if each.outcome == "success" else ExecutionStatus.failed,
                each,
                now,
            )
            for index, each in enumerate(results)
        ],
    )
