//! The HTTP API under `/api/v1`: plain REST, compatible with the published 0.10.0 API.
//!
//! A route is one entry of [`routes`]; whatever fails, in a handler or before it, is answered by `error`.

mod components;
mod envelope;
mod error;
mod flows;
mod health;
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
use axum::http::{HeaderName, Method};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_http::cors::CorsLayer;

use crate::access::Access;
use crate::service::Service;

/// The largest body of a request, in bytes.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

/// How long requests may go on that are open when the server is to stop. What waits for a run is answered at once; what is
/// left then is a client that sends or reads too slowly.
pub const PATIENCE: Duration = Duration::from_secs(5);

const BASE: &str = "/api/v1";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

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

/// The API as a service that answers the requests that `access` lets in.
pub fn router(service: Shared, access: Access) -> Router {
    let mut api = Router::new();
    for route in routes() {
        api = api.route(route.path, route.handler);
    }
    Router::new()
        .nest(BASE, api)
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(cors(&access))
        .layer(middleware::from_fn_with_state(Arc::new(access), let_in))
        .layer(middleware::from_fn(error::name_requests))
        .with_state(service)
}

/// Stands before every route, those that do not exist included.
async fn let_in(State(access): State<Arc<Access>>, request: Request, next: Next) -> Result<Response, error::Error> {
    let (head, body) = request.into_parts();
    access.check(&head).map_err(|refusal| error::Error::forbidden(refusal.to_string()))?;
    Ok(next.run(Request::from_parts(head, body)).await)
}

/// Tells browsers which pages may read the answers.
fn cors(access: &Access) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(access.origins().collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY, LAST_EVENT_ID])
        .expose_headers([error::X_REQUEST_ID])
        .max_age(Duration::from_secs(600))
}

/// Serves `api` until `shutdown` is over; requests that are open then have [`PATIENCE`] to end.
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
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        ended = axum::serve(listener, api).with_graceful_shutdown(shutdown).into_future() => ended,
        () = too_long => {
            tracing::warn!("stopped with requests open that did not end in {} s", PATIENCE.as_secs());
            Ok(())
        }
    }
}
