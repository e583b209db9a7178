//! Why a step, an item or a run failed, as flows, clients and journals see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Value;

/// The stable name of a failure. `code` exists beside it for clients of older servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorKind {
    /// The input does not fit the flow's or the component's schema.
    InvalidInput,
    /// A path, a reference or a variable has no value.
    ExpressionFailure,
    /// No route or no worker serves the component.
    ComponentNotFound,
    /// The component ran and failed.
    #[default]
    ComponentFailed,
    /// The worker answered with something that is not the protocol.
    WorkerError,
    /// The attempt or the run took longer than allowed.
    Timeout,
    /// Somebody cancelled the run.
    Cancelled,
    /// The worker was lost, or could not be reached.
    Unreachable,
    /// The component or its worker has no capacity now.
    ResourceUnavailable,
    /// The server itself could not go on.
    OrchestratorError,
}

impl ErrorKind {
    /// The number that published clients know for this kind.
    #[must_use]
    pub fn code(self) -> i64 {
        match self {
            Self::InvalidInput => 400,
            Self::ExpressionFailure => 422,
            Self::ComponentNotFound => 404,
            Self::ComponentFailed => 500,
            Self::WorkerError => 520,
            Self::Timeout => 504,
            Self::Cancelled => 499,
            Self::Unreachable => 502,
            Self::ResourceUnavailable => 503,
            Self::OrchestratorError => 599,
        }
    }

    /// The kind's name as it is written in documents and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "INVALID_INPUT",
            Self::ExpressionFailure => "EXPRESSION_FAILURE",
            Self::ComponentNotFound => "COMPONENT_NOT_FOUND",
            Self::ComponentFailed => "COMPONENT_FAILED",
            Self::WorkerError => "WORKER_ERROR",
            Self::Timeout => "TIMEOUT",
            Self::Cancelled => "CANCELLED",
            Self::Unreachable => "UNREACHABLE",
            Self::ResourceUnavailable => "RESOURCE_UNAVAILABLE",
            Self::OrchestratorError => "ORCHESTRATOR_ERROR",
        }
    }
}

/// A failure that a flow can see, handle and return.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowError {
    /// The kind's number, or the component's own.
    pub code: i64,
    /// The stable name. Published servers do not say it.
    #[serde(default)]
    pub kind: ErrorKind,
    /// What went wrong, in one sentence; a component's own words when it raised.
    pub message: String,
    /// Details that help to find the cause: step, component, attempt, exception type, traceback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl FlowError {
    /// A failure of this kind with the kind's own code.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { code: kind.code(), kind, message: message.into(), data: None }
    }

    /// The same failure with these fields added to `data`. A field that is there already stays.
    #[must_use]
    pub fn with<K: AsRef<str>>(mut self, fields: impl IntoIterator<Item = (K, Value)>) -> Self {
        let mut members = self.data.as_ref().map(Value::members).unwrap_or_default();
        for (key, value) in fields {
            if !members.iter().any(|(name, _)| name == key.as_ref()) {
                members.push((key.as_ref().to_owned(), value));
            }
        }
        self.data = Some(Value::object(members));
        self
    }
}
