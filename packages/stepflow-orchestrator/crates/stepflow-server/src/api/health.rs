//! Whether the server is alive, and whether all plugins are ready.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Shared;
use super::query::{NoParameters, Query};

/// The server is alive.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HealthResponse {
    /// `healthy`
    pub status: &'static str,
    /// Now, by the server's clock.
    #[schemars(with = "String")]
    pub timestamp: Timestamp,
    /// The server's version.
    pub version: &'static str,
}

/// Whether all plugins are ready.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyResponse {
    /// `ready` or `notReady`
    pub status: &'static str,
    /// The plugins that are not ready, and why.
    pub waiting: Vec<Waiting>,
}

/// A plugin that is not ready.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Waiting {
    /// Its name in the configuration.
    pub plugin: String,
    /// What it is waiting for, or why it failed.
    pub reason: String,
}

/// `GET /health`
pub async fn health(Query(NoParameters {}): Query<NoParameters>) -> axum::Json<HealthResponse> {
    axum::Json(HealthResponse { status: "healthy", timestamp: Timestamp::now(), version: env!("CARGO_PKG_VERSION") })
}

/// `GET /ready`: 503 when a plugin is not ready.
pub async fn ready(State(service): State<Shared>, Query(NoParameters {}): Query<NoParameters>) -> Response {
    let waiting: Vec<Waiting> =
        service.not_ready().into_iter().map(|(plugin, reason)| Waiting { plugin, reason }).collect();
    let (code, status) =
        if waiting.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "notReady") };
    (code, axum::Json(ReadyResponse { status, waiting })).into_response()
}
