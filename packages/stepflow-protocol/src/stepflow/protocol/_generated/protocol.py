"""The messages between a server and its workers.

Generated from `schemas/protocol.json` by `uv run python generate.py`. Do not edit: see the README in this folder.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, field
from stepflow.protocol._message import Message


class BlobType(StrEnum):
    """What a blob holds. The type is not part of its id."""

    data = "data"
    """Any JSON."""
    flow = "flow"
    """A flow document."""
    binary = "binary"
    """Bytes, in JSON as base64."""


class BlobsGetResult(Message):
    """Result of `blobs/get`."""

    data: Any
    """The content."""
    blob_type: BlobType
    """What the content is."""


class BlobsPutResult(Message):
    """Result of `blobs/put`."""

    blob_id: str
    """The content's id."""


class ComponentCapabilities(Message):
    """What one component of a worker allows."""

    max_concurrency: Annotated[int, Meta(ge=0)] | None = None
    """How many executes of the component may be open at once."""


class ComponentInfo(Message):
    """The description of one component of a worker."""

    component: str
    """The path or path pattern, such as `/clean`."""
    description: str | None = None
    """What it does, for people."""
    input_schema: Any = None
    """JSON Schema of the input."""
    output_schema: Any = None
    """JSON Schema of the output."""


class ComponentsCancelParams(Message):
    """Params of the notification `components/cancel`."""

    task_id: str
    """The task."""
    attempt: Annotated[int, Meta(ge=0)]
    """The attempt."""
    reason: str | None = None
    """Why, for the worker's log."""


class ComponentsExecuteResult(Message):
    """Result of `components/execute`."""

    output: Any
    """What the component returned."""


class ComponentsInferSchemaParams(Message):
    """Params of `components/infer_schema`."""

    component: str
    """The component's path."""
    input_schema: Any
    """JSON Schema of the input that it would get."""


class ComponentsInferSchemaResult(Message):
    """Result of `components/infer_schema`."""

    output_schema: Any = None
    """JSON Schema of the output, where the worker knows it."""


class ComponentsInfoParams(Message):
    """Params of `components/info`."""

    component: str
    """The component's path."""


class ComponentsInfoResult(Message):
    """Result of `components/info`."""

    info: ComponentInfo
    """The component's description."""


class ComponentsListParams(Message):
    """Params of `components/list`."""


class ComponentsListResult(Message):
    """Result of `components/list`."""

    components: list[ComponentInfo]
    """In the order of their registration."""


class ErrorKind(StrEnum):
    """The stable name of a failure. `code` exists beside it for clients of older servers."""

    invalid_input = "INVALID_INPUT"
    """The input does not fit the flow's or the component's schema."""
    expression_failure = "EXPRESSION_FAILURE"
    """A path, a reference or a variable has no value."""
    component_not_found = "COMPONENT_NOT_FOUND"
    """No route or no worker serves the component."""
    component_failed = "COMPONENT_FAILED"
    """The component ran and failed."""
    worker_error = "WORKER_ERROR"
    """The worker answered with something that is not the protocol."""
    timeout = "TIMEOUT"
    """The attempt or the run took longer than allowed."""
    cancelled = "CANCELLED"
    """Somebody cancelled the run."""
    unreachable = "UNREACHABLE"
    """The worker was lost, or could not be reached."""
    resource_unavailable = "RESOURCE_UNAVAILABLE"
    """The component or its worker has no capacity now."""
    orchestrator_error = "ORCHESTRATOR_ERROR"
    """The server itself could not go on."""


class ExecutionStatus(StrEnum):
    """How far a run or one of its items is."""

    running = "running"
    """Has begun and has not ended."""
    completed = "completed"
    """Ended with a result."""
    failed = "failed"
    """Ended with an error."""
    cancelled = "cancelled"
    """Ended because somebody asked for it. Terminal, no matter what arrives later."""
    recovery_failed = "recoveryFailed"
    """Cannot continue, because what is stored of it is damaged."""


class FailureDetails(Message):
    """`data` of the error COMPONENT_FAILED."""

    type: str | None = None
    """The exception's type."""
    traceback: str | None = None
    """The traceback, as text."""
    code: int | None = None
    """The component's own error number."""
    retryable: bool | None = None
    """`false` forbids another attempt, even if the flow has a retry for it."""
    retry_after: int | float | None = None
    """The least time to wait before another attempt, in seconds."""
    data: Any = None
    """More details, chosen by the component."""


class FlowError(Message):
    """A failure that a flow can see, handle and return."""

    code: int
    """The kind's number, or the component's own."""
    message: str
    """What went wrong, in one sentence; a component's own words when it raised."""
    kind: ErrorKind | None = ErrorKind.component_failed
    """The stable name. Published servers do not say it."""
    data: Any = None
    """Details that help to find the cause: step, component, attempt, exception type, traceback."""


class FlowResult(Message):
    """The wire form: flat, because a tagged enum would parse and print the raw value on its way."""

    outcome: str
    """`success` or `failed`."""
    result: Any = None
    """The output of a success."""
    error: FlowError | None = None
    """The error of a failure."""


class InitializedParams(Message):
    """Params of the notification `initialized`."""


class ItemResult(Message):
    """How one item of a run is, or ended."""

    item_index: Annotated[int, Meta(ge=0)] = field(name="itemIndex")
    """The item, counted from 0."""
    status: ExecutionStatus
    """How far it is."""
    result: FlowResult | None = None
    """Its result, once it has ended."""
    completed_at: str | None = field(name="completedAt", default=None)
    """When it ended."""


class ItemStatistics(Message):
    """How many items of a run are how far."""

    total: Annotated[int, Meta(ge=0)]
    """All."""
    completed: Annotated[int, Meta(ge=0)]
    """Ended with a result."""
    running: Annotated[int, Meta(ge=0)]
    """Not ended."""
    failed: Annotated[int, Meta(ge=0)]
    """Ended with an error."""
    cancelled: Annotated[int, Meta(ge=0)]
    """Ended because somebody asked for it."""


class Method(StrEnum):
    """The name of a method."""

    initialize = "initialize"
    """Server to worker: who are you, what can you do."""
    initialized = "initialized"
    """Server to worker, a notification: work follows."""
    components_list = "components/list"
    """Server to worker: which components do you serve."""
    components_info = "components/info"
    """Server to worker: describe one component."""
    components_infer_schema = "components/infer_schema"
    """Server to worker: which output schema follows from this input schema."""
    components_execute = "components/execute"
    """Server to worker: run a component."""
    components_cancel = "components/cancel"
    """Server to worker, a notification: the answer of an execute is not needed any more."""
    blobs_put = "blobs/put"
    """Worker to server: keep this content."""
    blobs_get = "blobs/get"
    """Worker to server: give me this content."""
    runs_submit = "runs/submit"
    """Worker to server: run this flow."""
    runs_get = "runs/get"
    """Worker to server: how far is this run."""
    flows_evaluate = "flows/evaluate"
    """Worker to server, from published workers up to 0.7: run this flow, and answer when it has ended."""
    flows_get_metadata = "flows/get_metadata"
    """Worker to server, from published workers up to 0.7: the metadata of a flow and of a step."""
    flows_submit_batch = "flows/submit_batch"
    """Worker to server, from published workers up to 0.7: run this flow once for each input."""
    flows_get_batch = "flows/get_batch"
    """Worker to server, from published workers up to 0.7: how far is this batch."""


class ObservabilityContext(Message):
    """Where an execute belongs: for traces, logs and the requests that a component makes."""

    trace_id: str | None = None
    """The trace, as 32 hex digits."""
    span_id: str | None = None
    """The parent span, as 16 hex digits."""
    run_id: str | None = None
    """The run, a UUID."""
    root_run_id: str | None = None
    """The root of the run's tree, a UUID."""
    flow_id: str | None = None
    """The flow, 64 hex digits."""
    step_id: str | None = None
    """The step's id in its flow."""


class ResultOrder(StrEnum):
    """In which order results are listed."""

    by_index = "by_index"
    """As the inputs were."""
    by_completion = "by_completion"
    """As the items ended."""


RunId: TypeAlias = str
"""The id of a run: one flow over one or more items. A root run's id is also the id of its tree and of its journal."""


class RunStatusProtocol(Message):
    """Result of `runs/submit` and `runs/get`."""

    run_id: RunId = field(name="runId")
    """The run."""
    flow_id: str = field(name="flowId")
    """Its flow."""
    status: ExecutionStatus
    """How far it is."""
    items: ItemStatistics
    """How far its items are."""
    created_at: str = field(name="createdAt")
    """When it was submitted."""
    flow_name: str | None = field(name="flowName", default=None)
    """The flow's name."""
    completed_at: str | None = field(name="completedAt", default=None)
    """When it ended."""
    results: list[ItemResult] | None = None
    """The results of the items that have ended, where they were asked for."""


class RunsGetParams(Message):
    """Params of `runs/get`."""

    run_id: RunId = field(name="runId")
    """The run."""
    wait: bool | None = None
    """Whether the answer waits for the run's end."""
    include_results: bool | None = field(name="includeResults", default=None)
    """Whether the answer has the results of the items."""
    result_order: ResultOrder | None = field(name="resultOrder", default=None)
    """In which order: by index when absent."""
    observability: ObservabilityContext | None = None
    """Where the request belongs."""
    task_id: str | None = field(name="taskId", default=None)
    """The task whose execute asks: while it waits, its slot is free for others."""
    attempt: Annotated[int, Meta(ge=0)] | None = None
    """The attempt whose execute asks."""


class RunsSubmitParams(Message):
    """Params of `runs/submit`."""

    flow_id: str = field(name="flowId")
    """The flow, kept before by `blobs/put`."""
    inputs: list[Any]
    """One input for each item."""
    wait: bool | None = None
    """Whether the answer waits for the run's end."""
    max_concurrency: Annotated[int, Meta(ge=0)] | None = field(name="maxConcurrency", default=None)
    """How many steps of the run may be open at once."""
    overrides: Any = None
    """Patches to the flow's steps: `{"steps": {"<id>": {"$type": "merge_patch", "value": …}}}`."""
    observability: ObservabilityContext | None = None
    """Where the request belongs."""
    task_id: str | None = field(name="taskId", default=None)
    """The task whose execute asks: the run becomes a sub-run of its step."""
    attempt: Annotated[int, Meta(ge=0)] | None = None
    """The attempt whose execute asks."""
    key: str | None = None
    "\n    The caller's name for this sub-run: the task's next attempt finds the run that has it, unless that failed or was\n    cancelled. Without one, what is asked for is the name, with how often.\n    "
    detached: bool | None = None
    """Whether the run is a root run, which continues after its step has ended."""


class RuntimeCapabilities(Message):
    """What the server can do beyond the base protocol."""

    resume: bool | None = None
    """Whether it takes up a lost HTTP session again."""
    at_capacity: bool | None = None
    """Whether it understands that a worker has no room: it offers the execute again."""


class WorkerCapabilities(Message):
    """What a worker can do beyond the base protocol."""

    max_concurrency: Annotated[int, Meta(ge=0)] | None = None
    """How many executes may be open at once in this process."""
    cancel: bool | None = None
    """Whether `components/cancel` is understood."""
    resume: bool | None = None
    """Whether a lost HTTP session can be taken up again."""
    version: str | None = None
    """The version of the worker's own code, which is recorded with each attempt."""
    components: dict[str, ComponentCapabilities] | None = None
    """Limits of single components, by path."""


class BlobsGetParams(Message):
    """Params of `blobs/get`."""

    blob_id: str
    """The content's id."""
    observability: ObservabilityContext | None = None
    """Where the request belongs."""
    task_id: str | None = None
    """The task whose execute asks."""
    attempt: Annotated[int, Meta(ge=0)] | None = None
    """The attempt whose execute asks."""


class BlobsPutParams(Message):
    """Params of `blobs/put`."""

    data: Any
    """The content."""
    blob_type: BlobType
    """What the content is."""
    observability: ObservabilityContext | None = None
    """Where the request belongs."""
    task_id: str | None = None
    """The task whose execute asks."""
    attempt: Annotated[int, Meta(ge=0)] | None = None
    """The attempt whose execute asks."""


class ComponentsExecuteParams(Message):
    """Params of `components/execute`."""

    component: str
    """The component's path, as the worker knows it."""
    input: Any
    """The step's input."""
    attempt: Annotated[int, Meta(ge=0)]
    """Which try this is, counted from 1."""
    observability: ObservabilityContext
    """Where the execute belongs."""
    task_id: str | None = None
    """The step of the item, the same for all attempts: a key for idempotent side effects."""
    deadline_ms: Annotated[int, Meta(ge=0)] | None = None
    """The time left when the message was written, in milliseconds."""


class InitializeParams(Message):
    """Params of `initialize`."""

    runtime_protocol_version: Annotated[int, Meta(ge=0)]
    """The protocol's version, always 1."""
    observability: ObservabilityContext | None = None
    """The trace that the handshake belongs to."""
    capabilities: RuntimeCapabilities | None = None
    """What the server can do beyond the base protocol."""


class InitializeResult(Message):
    """Result of `initialize`."""

    server_protocol_version: Annotated[int, Meta(ge=0)]
    """The protocol's version, always 1."""
    capabilities: WorkerCapabilities | None = None
    """What the worker can do beyond the base protocol."""
