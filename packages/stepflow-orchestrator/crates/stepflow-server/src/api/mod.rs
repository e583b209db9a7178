//! The HTTP API under `/api/v1`: plain REST, compatible with the published 0.10.0 API.
//!
//! Each route is an entry of [`routes`]. `error` answers every failure, in a handler or before it.

mod components;
mod envelope;
mod error;
mod flows;
mod health;
mod plain;
mod query;
mod runs;
mod secrets;
mod steps;
mod views;

use std::future::{Future, IntoFuture};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_http::cors::CorsLayer;

use crate::access::Access;
use crate::service::Service;
use crate::store::Survives;

/// The largest body of a request, in bytes.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

/// How long open requests may take when the server stops. Requests that wait for a run are answered at once; the others
/// are from clients that send or read slowly.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

const BASE: &str = "/api/v1";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells that what was acknowledged may be lost: `relaxed` when the machine loses power, `memory` when the server ends.
const X_STEPFLOW_DURABILITY: HeaderName = HeaderName::from_static("x-stepflow-durability");

/// The state that all handlers share.
type Shared = Arc<Service>;

/// One route of the API.
pub struct Route {
    /// The HTTP method.
    pub method: Method,
    /// The path below `/api/v1`, with `{…}` for its parameters.
    pub path: &'static str,
    /// The name of the operation. It does not change, because clients are generated from it.
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

/// All routes.
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

/// The API as a service. It answers only requests that `access` allows.
pub fn router(service: Shared, access: Access) -> Router {
    let durability = service.store.survives();
    let mut api = Router::new();
    for route in routes() {
        api = api.route(route.path, route.handler);
    }
    Router::new()
        .nest(BASE, api)
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::map_response(move |response| with_durability(durability, response)))
        .layer(cors(&access))
        .layer(middleware::from_fn_with_state(Arc::new(access), check_access))
        .layer(middleware::from_fn(error::with_request_ids))
        .with_state(service)
}

/// Checks a request before it reaches a route. This is done for unknown paths, too.
async fn check_access(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Result<Response, error::Error> {
    let (head, body) = request.into_parts();
    access.check(&head).map_err(|refusal| error::Error::forbidden(refusal.to_string()))?;
    Ok(next.run(Request::from_parts(head, body)).await)
}

async fn with_durability(survives: Survives, mut response: Response) -> Response {
    let durability = match survives {
        Survives::PowerLoss => return response,
        Survives::Kill => "relaxed",
        Survives::Nothing => "memory",
    };
    response.headers_mut().insert(X_STEPFLOW_DURABILITY, HeaderValue::from_static(durability));
    response
}

/// Tells browsers which web pages may read the answers.
fn cors(access: &Access) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(access.origins().collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY, LAST_EVENT_ID])
        .expose_headers([error::X_REQUEST_ID, X_STEPFLOW_DURABILITY])
        .max_age(Duration::from_secs(600))
}

/// Serves `api` until `shutdown` completes. Open requests then have [`SHUTDOWN_TIMEOUT`] to end.
///
/// # Errors
/// When the listener fails.
pub async fn run(
    listener: TcpListener,
    api: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let shutdown = async {
        shutdown.await;
        let _ = stopping.send(());
    };
    let too_long = async {
        // The sender is dropped only when serving has ended.
        let _ = stopped.await;
        tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        ended = axum::serve(listener, api).with_graceful_shutdown(shutdown).into_future() => ended,
        () = too_long => {
            tracing::warn!("stopped although some requests did not end in {} s", SHUTDOWN_TIMEOUT.as_secs());
            Ok(())
        }
    }
}
