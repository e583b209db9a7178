//! The types that every other crate of the server uses: values, ids, outcomes, error kinds, statuses and the messages
//! between server and worker. The Python distribution `stepflow-protocol` has the same.
//!
//! Nothing here does I/O, reads a clock or knows an executor.

mod error;
mod ids;
mod messages;
mod outcome;
mod schema;
mod status;
mod value;

pub use error::{ErrorKind, FlowError};
pub use ids::{BlobId, FlowId, InvalidId, RunId, TaskId, content_id};
pub use messages::{
    BlobType, BlobsGetParams, BlobsGetResult, BlobsPutParams, BlobsPutResult, ComponentCapabilities, ComponentInfo,
    ComponentsCancelParams, ComponentsExecuteParams, ComponentsExecuteResult, ComponentsInferSchemaParams,
    ComponentsInferSchemaResult, ComponentsInfoParams, ComponentsInfoResult, ComponentsListParams,
    ComponentsListResult, Envelope, FailureDetails, InitializeParams, InitializeResult, InitializedParams, ItemResult,
    ItemStatistics, MessageId, Method, ObservabilityContext, ResultOrder, RpcError, RunStatusProtocol, RunsGetParams,
    RunsSubmitParams, RuntimeCapabilities, WorkerCapabilities, rpc_error_codes,
};
pub use outcome::FlowResult;
pub use schema::protocol_schema;
pub use status::{ExecutionStatus, StepStatus};
pub use value::{Kind, MAX_DEPTH, Segment, Value, ValueError};
