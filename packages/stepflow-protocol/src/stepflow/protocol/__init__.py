"""The messages between a Stepflow server and its workers, and the types that all Stepflow packages share.

Imports msgspec and nothing else. The types of the flow document are in `stepflow.protocol.flow`.
"""

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
    ComponentsExecuteParams,
    ComponentsExecuteResult,
    ComponentsInferSchemaParams,
    ComponentsInferSchemaResult,
    ComponentsInfoParams,
    ComponentsInfoResult,
    ComponentsListParams,
    ComponentsListResult,
    ErrorKind,
    FailureDetails,
    FlowError,
    FlowResult,
    InitializedParams,
    InitializeParams,
    InitializeResult,
    Method,
    ObservabilityContext,
    RuntimeCapabilities,
    WorkerCapabilities,
)
from stepflow.protocol.errors import (
    InvalidEnvelope,
    InvalidParams,
    MessageTooLong,
    NotJson,
    ProtocolError,
    RequestRefused,
    StepflowError,
    UnknownMethod,
)

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
    "FailureDetails",
    "ObservabilityContext",
    "BlobType",
    "BlobsPutParams",
    "BlobsPutResult",
    "BlobsGetParams",
    "BlobsGetResult",
    # what a flow ends with
    "FlowResult",
    "FlowError",
    "ErrorKind",
    # blobs
    "blob_id",
    # what can go wrong
    "StepflowError",
    "ProtocolError",
    "NotJson",
    "InvalidEnvelope",
    "MessageTooLong",
    "UnknownMethod",
    "InvalidParams",
    "RequestRefused",
]
