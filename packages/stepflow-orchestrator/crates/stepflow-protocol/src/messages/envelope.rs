//! What every message has around it. Flat, because a tagged enum would parse the raw values on their way.

use serde::{Deserialize, Serialize};

use crate::Value;

/// Names a request, so that its answer can be found. Each side draws its own and echoes the other's as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MessageId {
    /// A whole number.
    Number(i64),
    /// A text, such as a UUID.
    Text(String),
}

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// One of `rpc_error_codes`, or a code that the worker has chosen.
    pub code: i64,
    /// What went wrong.
    pub message: String,
    /// Details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// One message of either side. Which members are there decides what it is: `id` and `method`, a request; `method`
/// alone, a notification; `id` and `result` or `error`, an answer. A `null` counts as absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Always `2.0`. Tolerated when absent.
    #[serde(default)]
    pub jsonrpc: Version,
    /// The request's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// The method's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The method's params: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// The answer to a request: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The refusal of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
}

/// The protocol's name for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// JSON-RPC 2.0.
    #[default]
    #[serde(rename = "2.0")]
    V2,
}

impl Envelope {
    /// A request.
    #[must_use]
    pub fn request(id: MessageId, method: impl Into<String>, params: Value) -> Self {
        Self { id: Some(id), method: Some(method.into()), params: Some(params), ..Self::default() }
    }

    /// A notification.
    #[must_use]
    pub fn notification(method: impl Into<String>, params: Value) -> Self {
        Self { method: Some(method.into()), params: Some(params), ..Self::default() }
    }

    /// The answer to the request of this id.
    #[must_use]
    pub fn answer(id: MessageId, result: Value) -> Self {
        Self { id: Some(id), result: Some(result), ..Self::default() }
    }

    /// The refusal of the request of this id.
    #[must_use]
    pub fn refusal(id: MessageId, code: i64, message: impl Into<String>) -> Self {
        Self { id: Some(id), error: Some(RpcError { code, message: message.into(), data: None }), ..Self::default() }
    }
}
