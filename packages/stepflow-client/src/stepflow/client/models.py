"""What the server answers, as pydantic models: snake_case here, camelCase on the wire.

Unknown members are ignored, so that an older client reads a newer server.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

RunStatus = Literal["running", "completed", "failed", "cancelled", "paused", "recoveryFailed"]


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class HealthResponse(_Answer):
    """The server is alive."""

    status: str
    timestamp: AwareDatetime
    version: str


class Diagnostic(_Answer):
    """One thing that is wrong, or doubtful, in a flow document."""

    code: int
    """The stable number, for example 3005."""
    kind: str
    """The stable name, for example `dependencyCycle`."""
    level: Literal["fatal", "error", "warning"]
    formatted: str
    """The message, for people."""
    path: str | None = None
    """Where in the document, for example `$.steps[0]`."""


class Diagnostics(_Answer):
    """All that the server has to say about a flow document."""

    diagnostics: tuple[Diagnostic, ...]
    num_fatal: int
    num_error: int
    num_warning: int


class StoreFlowResponse(_Answer):
    """A flow was read, and stored unless a diagnostic is fatal or it was a dry run."""

    flow_id: str
    stored: bool
    diagnostics: Diagnostics


class FlowError(_Answer):
    """Why a flow or a step failed."""

    code: int
    message: str
    kind: str | None = None
    """The stable name, for example `COMPONENT_FAILED`. Servers before ours send none."""
    data: JsonValue = None


class FlowResultSuccess(_Answer):
    """The flow's output."""

    outcome: Literal["success"]
    result: JsonValue


class FlowResultFailed(_Answer):
    """The flow came to an end without an output."""

    outcome: Literal["failed"]
    error: FlowError


FlowResult = Annotated[FlowResultSuccess | FlowResultFailed, Field(discriminator="outcome")]


class ItemStatistics(_Answer):
    """How many items of a run are in which state."""

    total: int
    completed: int
    running: int
    failed: int
    cancelled: int


class ItemResult(_Answer):
    """The result of one item of a run."""

    item_index: int
    """Its place in the run's input, from 0."""
    status: RunStatus
    result: FlowResult | None = None
    """Absent while the item is running."""
    completed_at: AwareDatetime | None = None


class Run(_Answer):
    """One run of a flow, over one or many input items."""

    run_id: UUID
    flow_id: str
    flow_name: str | None = None
    status: RunStatus
    item_count: int | None = None
    items: ItemStatistics
    created_at: AwareDatetime
    completed_at: AwareDatetime | None = None
    result: FlowResult | None = None
    """The result of a run of one item, once it is there."""
    results: tuple[ItemResult, ...] | None = None
    """The results of all items, once the run was waited for and has ended."""


class ErrorDetail(_Answer):
    """One place in the request that the server objects to."""

    path: str
    """From the body's root, for example `/input/3/q`."""
    message: str


class ErrorBody(_Answer):
    """The body of every answer that is not a success."""

    code: int
    kind: str
    message: str
    details: tuple[ErrorDetail, ...] = ()
    request_id: str
