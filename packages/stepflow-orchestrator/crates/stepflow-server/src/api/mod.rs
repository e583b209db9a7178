//! The HTTP API under `/api/v1`: plain REST, compatible with the published 0.10.0 API.
//!
//! A route is one entry of [`routes`]; whatever fails, in a handler or before it, is answered by `error`.

mod components;
mod envelope;
mod error;
mod flows;
mod health;
mod runs;
mod secrets;
mod steps;
mod views;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use tokio::net::TcpListener;

use crate::service::Service;

/// The largest body of a request, in bytes.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

const BASE: &str = "/api/v1";

/// What every handler sees.
type Shared = Arc<Service>;

/// One route of the API.
pub struct Route {
    /// The verb.
    pub method: Method,
    /// The path below `/api/v1`, with `{…}` for its parameters.
    pub path: &'static str,
    /// The operation's name, stable for generated clients.
    pub operation: &'static str,
    handler: MethodRouter<Shared>,
}

impl Route {
    fn get(path: &'static str, operation: &'static str, handler: MethodRouter<Shared>) -> Self {
        Self { method: Method::GET, path, operation, handler }
    }

    fn post(path: &'static str, operation: &'static str, handler: MethodRouter<Shared>) -> Self {
        Self { method: Method::POST, path, operation, handler }
    }
}

/// Every route that there is.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/health", "healthCheck", get(health::health)),
        Route::get("/ready", "readyCheck", get(health::ready)),
        Route::get("/components", "listComponents", get(components::list)),
        Route::post("/flows", "storeFlow", post(flows::store)),
        Route::get("/flows/{flow_id}", "getFlow", get(flows::show)),
        Route::post("/runs", "createRun", post(runs::create)),
        Route::get("/runs/{run_id}", "getRun", get(runs::show)),
        Route::get("/runs/{run_id}/items", "getRunItems", get(runs::items)),
        Route::get("/runs/{run_id}/steps", "getRunSteps", get(steps::list)),
        Route::post("/runs/{run_id}/cancel", "cancelRun", post(runs::cancel)),
    ]
}

/// The API as a service that answers requests.
pub fn router(service: Shared) -> Router {
    let mut api = Router::new();
    for route in routes() {
        api = api.route(route.path, route.handler);
    }
    Router::new()
        .nest(BASE, api)
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(error::name_requests))
        .with_state(service)
}

/// Serves until `shutdown` is over; requests that wait for a run are then answered with how far it is.
///
/// # Errors
/// When the listener fails.
pub async fn run(
    listener: TcpListener,
    service: Shared,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(service)).with_graceful_shutdown(shutdown).await
}
