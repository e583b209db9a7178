"""The server's answers as pydantic models: snake_case here, camelCase in JSON.

Unknown members are ignored, so that an older client can read a newer server's answers.
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
    """The place in the document, for example `$.steps[0]`."""


class Diagnostics(_Answer):
    """All diagnostics of a flow document, and how many there are of each level."""

    diagnostics: tuple[Diagnostic, ...]
    num_fatal: int
    num_error: int
    num_warning: int


class StoreFlowResponse(_Answer):
    """The answer for a flow that was checked; `stored` says whether it was stored too."""

    flow_id: str
    stored: bool
    diagnostics: Diagnostics


class FlowError(_Answer):
    """Why a flow or a step failed."""

    code: int
    message: str
    kind: str | None = None
    """The stable name, for example `COMPONENT_FAILED`. Older servers send none."""
    data: JsonValue = None


class FlowResultSuccess(_Answer):
    """The flow's output."""

    outcome: Literal["success"]
    result: JsonValue


class FlowResultFailed(_Answer):
    """The flow failed and has no output."""

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
    """Its place in the run's input, counted from 0."""
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
    """The result of a run of one item, once it has ended."""
    results: tuple[ItemResult, ...] | None = None
    """The results of all items; present when the request waited and the run has ended."""


class ErrorDetail(_Answer):
    """One place in the request that the server objects to."""

    path: str
    """A path from the root of the body, for example `/input/3/q`."""
    message: str


class ErrorBody(_Answer):
    """The body of every answer that is not a success."""

    code: int
    kind: str
    message: str
    details: tuple[ErrorDetail, ...] = ()
    request_id: str
