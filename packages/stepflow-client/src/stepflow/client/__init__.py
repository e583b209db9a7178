"""Talk to a Stepflow server from Python, sync or async."""

from stepflow.client._client import AsyncStepflowClient, StepflowClient
from stepflow.client.errors import (
    ApiError,
    BadRequest,
    ConnectionFailed,
    NotFound,
    ServerConflict,
    StepflowClientError,
    Unavailable,
    UnexpectedAnswer,
)
from stepflow.client.models import (
    Diagnostic,
    Diagnostics,
    ErrorDetail,
    FlowError,
    FlowResult,
    FlowResultFailed,
    FlowResultSuccess,
    HealthResponse,
    ItemResult,
    ItemStatistics,
    Run,
    RunStatus,
    StoreFlowResponse,
)
from stepflow.protocol import FlowBuilder, Value

__all__ = [
    # clients
    "AsyncStepflowClient",
    "StepflowClient",
    # building flows
    "FlowBuilder",
    "Value",
    # answers
    "Diagnostic",
    "Diagnostics",
    "FlowError",
    "FlowResult",
    "FlowResultFailed",
    "FlowResultSuccess",
    "HealthResponse",
    "ItemResult",
    "ItemStatistics",
    "Run",
    "RunStatus",
    "StoreFlowResponse",
    # errors
    "ApiError",
    "BadRequest",
    "ConnectionFailed",
    "ErrorDetail",
    "NotFound",
    "ServerConflict",
    "StepflowClientError",
    "Unavailable",
    "UnexpectedAnswer",
]
