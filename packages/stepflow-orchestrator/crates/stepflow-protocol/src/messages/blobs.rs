//! Blobs, as workers put and get them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ObservabilityContext;
use crate::{BlobId, Value};

/// What a blob holds. The type is not part of its id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlobType {
    /// Any JSON.
    #[default]
    Data,
    /// A flow document.
    Flow,
    /// Bytes, in JSON as base64.
    Binary,
}

/// Params of `blobs/put`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlobsPutParams {
    /// The content.
    pub data: Value,
    /// What the content is.
    pub blob_type: BlobType,
    /// Where the request belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<ObservabilityContext>,
    /// The task whose execute asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The attempt whose execute asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// Result of `blobs/put`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlobsPutResult {
    /// The content's id.
    pub blob_id: BlobId,
}

/// Params of `blobs/get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlobsGetParams {
    /// The content's id.
    pub blob_id: BlobId,
    /// Where the request belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<ObservabilityContext>,
    /// The task whose execute asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The attempt whose execute asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// Result of `blobs/get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlobsGetResult {
    /// The content.
    pub data: Value,
    /// What the content is.
    pub blob_type: BlobType,
}
