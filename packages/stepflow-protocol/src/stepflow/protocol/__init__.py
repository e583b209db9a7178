"""The messages between a Stepflow server and its workers, and the types that all Stepflow packages share.

It imports only msgspec. The types of the flow document are in `stepflow.protocol.flow`.

The code that builds flows is loaded at its first use: a worker does not need it, and must start fast.
"""

import importlib
from typing import TYPE_CHECKING

from stepflow.protocol._blob_ids import blob_id
from stepflow.protocol._envelope import (
    Answer,
    Envelope,
    ErrorAnswer,
    ErrorObject,
    MessageId,
    Notification,
    Outgoing,
    Request,
    decode,
    encode,
)
from stepflow.protocol._error_codes import ErrorCode
from stepflow.protocol._framing import MAX_LINE, LineSplitter, frame
from stepflow.protocol._generated.protocol import (
    BlobsGetParams,
    BlobsGetResult,
    BlobsPutParams,
    BlobsPutResult,
    BlobType,
    ComponentCapabilities,
    ComponentInfo,
    ComponentsCancelParams,
    ComponentsExecuteParams,
    ComponentsExecuteResult,
    ComponentsInferSchemaParams,
    ComponentsInferSchemaResult,
    ComponentsInfoParams,
    ComponentsInfoResult,
    ComponentsListParams,
    ComponentsListResult,
    ErrorKind,
    ExecutionStatus,
    FailureDetails,
    FlowError,
    FlowResult,
    InitializedParams,
    InitializeParams,
    InitializeResult,
    ItemResult,
    ItemStatistics,
    Method,
    ObservabilityContext,
    ResultOrder,
    RunsGetParams,
    RunsSubmitParams,
    RunStatusProtocol,
    RuntimeCapabilities,
    WorkerCapabilities,
)
from stepflow.protocol._json import json_text, json_value
from stepflow.protocol._json_fields import complete_fields
from stepflow.protocol._paths import format_path
from stepflow.protocol.errors import (
    InvalidEnvelope,
    InvalidFlow,
    InvalidParams,
    MessageTooLong,
    NoJsonForm,
    NotJson,
    ProtocolError,
    RequestRefused,
    StepflowError,
    UnencodableInput,
    UnknownMethod,
)

if TYPE_CHECKING:
    from stepflow.protocol._builder import FlowBuilder
    from stepflow.protocol._canonical import flow_id
    from stepflow.protocol._checks import check_flow
    from stepflow.protocol._durations import duration_seconds
    from stepflow.protocol._values import Reference, StepHandle, StepReference, Value

__all__ = [
    # the envelope
    "Envelope",
    "Request",
    "Notification",
    "Answer",
    "ErrorAnswer",
    "ErrorObject",
    "ErrorCode",
    "MessageId",
    "Outgoing",
    "encode",
    "decode",
    # one message per line
    "LineSplitter",
    "frame",
    "MAX_LINE",
    # methods, their params and results
    "Method",
    "InitializeParams",
    "InitializeResult",
    "InitializedParams",
    "RuntimeCapabilities",
    "WorkerCapabilities",
    "ComponentCapabilities",
    "ComponentInfo",
    "ComponentsListParams",
    "ComponentsListResult",
    "ComponentsInfoParams",
    "ComponentsInfoResult",
    "ComponentsInferSchemaParams",
    "ComponentsInferSchemaResult",
    "ComponentsExecuteParams",
    "ComponentsExecuteResult",
    "ComponentsCancelParams",
    "FailureDetails",
    "ObservabilityContext",
    "BlobType",
    "BlobsPutParams",
    "BlobsPutResult",
    "BlobsGetParams",
    "BlobsGetResult",
    "RunsSubmitParams",
    "RunsGetParams",
    "ResultOrder",
    "RunStatusProtocol",
    "ExecutionStatus",
    "ItemStatistics",
    "ItemResult",
    # results of flows
    "FlowResult",
    "FlowError",
    "ErrorKind",
    # values, and their blobs
    "complete_fields",
    "format_path",
    "json_text",
    "json_value",
    "blob_id",
    # flows built in Python
    "FlowBuilder",
    "Value",
    "Reference",
    "StepReference",
    "StepHandle",
    "flow_id",
    "check_flow",
    "duration_seconds",
    # errors
    "StepflowError",
    "ProtocolError",
    "NotJson",
    "InvalidEnvelope",
    "MessageTooLong",
    "UnencodableInput",
    "UnknownMethod",
    "InvalidParams",
    "RequestRefused",
    "NoJsonForm",
    "InvalidFlow",
]

_MODULE_OF = {
    "FlowBuilder": "_builder",
    "Value": "_values",
    "Reference": "_values",
    "StepReference": "_values",
    "StepHandle": "_values",
    "flow_id": "_canonical",
    "check_flow": "_checks",
    "duration_seconds": "_durations",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    found = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found
