//! Whether the server is alive, and whether it can take work.

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

/// Whether the server can take work.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyResponse {
    /// `ready` or `notReady`
    pub status: &'static str,
    /// What the server waits for before it can take work.
    pub waiting: Vec<Waiting>,
    /// The plugins that take no tasks now. The steps that lead to others run.
    pub degraded: Vec<Degraded>,
}

/// What a server waits for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// The part of the server.
    pub part: Part,
    /// What is wrong with it, or what it is doing.
    pub reason: String,
}

/// A part of the server that everything needs.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The store of runs and flows.
    StateStore,
    /// Taking over the runs that were left open.
    Recovery,
}

/// A plugin that takes no tasks now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Degraded {
    /// Its name in the configuration.
    pub plugin: String,
    /// What it is waiting for, or why it failed.
    pub reason: String,
}

/// `GET /health`
pub async fn health(Query(NoParameters {}): Query<NoParameters>) -> axum::Json<HealthResponse> {
    axum::Json(HealthResponse { status: "healthy", timestamp: Timestamp::now(), version: env!("CARGO_PKG_VERSION") })
}

/// `GET /ready`: 503 when the store cannot be written, and before the open runs are known.
pub async fn ready(State(service): State<Shared>, Query(NoParameters {}): Query<NoParameters>) -> Response {
    let outage = service.store.outage().map(|outage| outage.reason.to_owned());
    let store = outage.map(|reason| Waiting { part: Part::StateStore, reason });
    let listing =
        || Waiting { part: Part::Recovery, reason: "it is looking for the runs that were left open".to_owned() };
    let recovery = (!service.engine.has_taken_over()).then(listing);
    let waiting: Vec<Waiting> = store.into_iter().chain(recovery).collect();
    let degraded = service.not_ready().into_iter().map(|(plugin, reason)| Degraded { plugin, reason }).collect();
    let (code, status) =
        if waiting.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "notReady") };
    (code, axum::Json(ReadyResponse { status, waiting, degraded })).into_response()
}
