//! The messages between server and worker: JSON-RPC 2.0, one flat envelope around typed params and results.
//!
//! These types are the contract. `stepflow-server schema protocol` prints their schema, and the Python types are
//! generated from it. Members are snake_case as in the published protocol; everything optional may be absent or null.

mod blobs;
mod envelope;
mod runs;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use blobs::{BlobType, BlobsGetParams, BlobsGetResult, BlobsPutParams, BlobsPutResult};
pub use envelope::{Envelope, MessageId, RpcError};
pub use runs::{ItemResult, ItemStatistics, ResultOrder, RunStatusProtocol, RunsGetParams, RunsSubmitParams};

use crate::Value;

/// The codes of the JSON-RPC errors of the protocol.
pub mod rpc_error_codes {
    /// The text was not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// The JSON was not a message.
    pub const INVALID_REQUEST: i64 = -32600;
    /// The receiver does not serve this method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The params do not fit the method.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The receiver has an error that no other code names.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// A request of a worker could not be carried out: a blob that is not there, a store that cannot write.
    pub const SERVER_ERROR: i64 = -32000;
    /// The worker has no such component.
    pub const COMPONENT_NOT_FOUND: i64 = -32001;
    /// The step's input does not fit the component's type, or a sub-run's the flow's; `data.path` names the place.
    pub const INVALID_INPUT: i64 = -32002;
    /// The component raised; `data` is a `FailureDetails`.
    pub const COMPONENT_FAILED: i64 = -32003;
    /// The component took longer than it may.
    pub const TIMEOUT: i64 = -32004;
    /// The execute was cancelled.
    pub const CANCELLED: i64 = -32005;
    /// The worker is draining; the component was not called.
    pub const NOT_ACCEPTED: i64 = -32006;
    /// The worker is busy, perhaps for other servers; the component was not called.
    pub const AT_CAPACITY: i64 = -32007;
    /// The flow, run or step that a worker asks about does not exist.
    pub const NOT_FOUND: i64 = -32011;
    /// The text given as an id is not an id.
    pub const INVALID_ID: i64 = -32012;
}

/// The name of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Method {
    /// Server to worker: who are you, what can you do.
    #[serde(rename = "initialize")]
    Initialize,
    /// Server to worker, a notification: work follows.
    #[serde(rename = "initialized")]
    Initialized,
    /// Server to worker: which components do you serve.
    #[serde(rename = "components/list")]
    ComponentsList,
    /// Server to worker: describe one component.
    #[serde(rename = "components/info")]
    ComponentsInfo,
    /// Server to worker: which output schema follows from this input schema.
    #[serde(rename = "components/infer_schema")]
    ComponentsInferSchema,
    /// Server to worker: run a component.
    #[serde(rename = "components/execute")]
    ComponentsExecute,
    /// Server to worker, a notification: the answer of an execute is not needed any more.
    #[serde(rename = "components/cancel")]
    ComponentsCancel,
    /// Worker to server: keep this content.
    #[serde(rename = "blobs/put")]
    BlobsPut,
    /// Worker to server: give me this content.
    #[serde(rename = "blobs/get")]
    BlobsGet,
    /// Worker to server: run this flow.
    #[serde(rename = "runs/submit")]
    RunsSubmit,
    /// Worker to server: how far is this run.
    #[serde(rename = "runs/get")]
    RunsGet,
    /// Worker to server, from published workers up to 0.7: run this flow, and answer when it has ended.
    #[serde(rename = "flows/evaluate")]
    FlowsEvaluate,
    /// Worker to server, from published workers up to 0.7: the metadata of a flow and of a step.
    #[serde(rename = "flows/get_metadata")]
    FlowsGetMetadata,
    /// Worker to server, from published workers up to 0.7: run this flow once for each input.
    #[serde(rename = "flows/submit_batch")]
    FlowsSubmitBatch,
    /// Worker to server, from published workers up to 0.7: how far is this batch.
    #[serde(rename = "flows/get_batch")]
    FlowsGetBatch,
}

impl Method {
    /// The method's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Initialized => "initialized",
            Self::ComponentsList => "components/list",
            Self::ComponentsInfo => "components/info",
            Self::ComponentsInferSchema => "components/infer_schema",
            Self::ComponentsExecute => "components/execute",
            Self::ComponentsCancel => "components/cancel",
            Self::BlobsPut => "blobs/put",
            Self::BlobsGet => "blobs/get",
            Self::RunsSubmit => "runs/submit",
            Self::RunsGet => "runs/get",
            Self::FlowsEvaluate => "flows/evaluate",
            Self::FlowsGetMetadata => "flows/get_metadata",
            Self::FlowsSubmitBatch => "flows/submit_batch",
            Self::FlowsGetBatch => "flows/get_batch",
        }
    }

    /// The method of this name, if it is one of the protocol's.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [
            Self::Initialize,
            Self::Initialized,
            Self::ComponentsList,
            Self::ComponentsInfo,
            Self::ComponentsInferSchema,
            Self::ComponentsExecute,
            Self::ComponentsCancel,
            Self::BlobsPut,
            Self::BlobsGet,
            Self::RunsSubmit,
            Self::RunsGet,
            Self::FlowsEvaluate,
            Self::FlowsGetMetadata,
            Self::FlowsSubmitBatch,
            Self::FlowsGetBatch,
        ]
        .into_iter()
        .find(|method| method.name() == name)
    }
}

/// Where an execute belongs: for traces, logs and the requests that a component makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObservabilityContext {
    /// The trace, as 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The parent span, as 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// The run, a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The root of the run's tree, a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_run_id: Option<String>,
    /// The flow, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// The step's id in its flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
}

/// What the server can do beyond the base protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeCapabilities {
    /// Whether it takes up a lost HTTP session again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<bool>,
    /// Whether it understands that a worker has no room: it offers the execute again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_capacity: Option<bool>,
}

/// What one component of a worker allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentCapabilities {
    /// How many executes of the component may be open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
}

/// What a worker can do beyond the base protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerCapabilities {
    /// How many executes may be open at once in this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// Whether `components/cancel` is understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<bool>,
    /// Whether a lost HTTP session can be taken up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<bool>,
    /// The version of the worker's own code, which is recorded with each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Limits of single components, by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<BTreeMap<String, ComponentCapabilities>>,
}

/// Params of `initialize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitializeParams {
    /// The protocol's version, always 1.
    pub runtime_protocol_version: u32,
    /// The trace that the handshake belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<ObservabilityContext>,
    /// What the server can do beyond the base protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<RuntimeCapabilities>,
}

/// Result of `initialize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitializeResult {
    /// The protocol's version, always 1.
    pub server_protocol_version: u32,
    /// What the worker can do beyond the base protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<WorkerCapabilities>,
}

/// Params of the notification `initialized`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitializedParams {}

/// Params of `components/list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsListParams {}

/// The description of one component of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentInfo {
    /// The path or path pattern, such as `/clean`.
    pub component: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
}

/// Result of `components/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsListResult {
    /// In the order of their registration.
    pub components: Vec<ComponentInfo>,
}

/// Params of `components/info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsInfoParams {
    /// The component's path.
    pub component: String,
}

/// Result of `components/info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsInfoResult {
    /// The component's description.
    pub info: ComponentInfo,
}

/// Params of `components/infer_schema`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsInferSchemaParams {
    /// The component's path.
    pub component: String,
    /// JSON Schema of the input that it would get.
    pub input_schema: Value,
}

/// Result of `components/infer_schema`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsInferSchemaResult {
    /// JSON Schema of the output, where the worker knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
}

/// Params of `components/execute`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsExecuteParams {
    /// The component's path, as the worker knows it.
    pub component: String,
    /// The step's input.
    pub input: Value,
    /// Which try this is, counted from 1.
    pub attempt: u32,
    /// Where the execute belongs.
    pub observability: ObservabilityContext,
    /// The step of the item, the same for all attempts: a key for idempotent side effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The time left when the message was written, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// Result of `components/execute`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsExecuteResult {
    /// What the component returned.
    pub output: Value,
}

/// Params of the notification `components/cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentsCancelParams {
    /// The task.
    pub task_id: String,
    /// The attempt.
    pub attempt: u32,
    /// Why, for the worker's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `data` of the error COMPONENT_FAILED.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureDetails {
    /// The exception's type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub exception_type: Option<String>,
    /// The traceback, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
    /// The component's own error number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// `false` forbids another attempt, even if the flow has a retry for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// The least time to wait before another attempt, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<f64>,
    /// More details, chosen by the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}
