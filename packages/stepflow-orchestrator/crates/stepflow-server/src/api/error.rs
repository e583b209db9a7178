//! The answers of the API when something fails. They are always JSON, with the id that the request has in the log.
//!
//! The message is for the caller and tells nothing about the inside of the server. The log line with the same id does.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use schemars::JsonSchema;
use serde::Serialize;
use stepflow_engine::ports::{Outage, StoreError};
use stepflow_flow::Capped;
use uuid::Uuid;

use crate::wording::cut;

/// The id of a request, in its answer and in the log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request was refused or could not be served.
#[derive(Debug, Clone)]
pub struct Error {
    status: StatusCode,
    kind: &'static str,
    message: String,
    details: Vec<Detail>,
    internal: Option<String>,
}

/// One place in the request that is wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Detail {
    /// A JSON pointer from the body's root, such as `/input/3/q`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// The most characters of a message. A message may repeat what a client sends, which may be as large as a body.
const MAX_MESSAGE: usize = 2000;

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// The HTTP status.
    pub code: u16,
    /// The stable name, such as `INVALID_INPUT`.
    pub kind: String,
    /// What is wrong, for people.
    pub message: String,
    /// Each place in the request that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// The id of the request in the server's log.
    pub request_id: String,
}

impl Error {
    /// 400: the request itself is wrong.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    /// 400: input or variables do not fit the flow's schemas.
    pub fn invalid_input(details: Capped<Detail>) -> Self {
        let message = match &*details {
            [only] => format!("`{}` does not fit the flow: {}", only.path, only.message),
            all if all.len() == details.total() => format!("the input does not fit the flow in {} places", all.len()),
            first => {
                let (shown, total) = (first.len(), details.total());
                format!("the input does not fit the flow in {total} places; `details` has the first {shown}")
            }
        };
        Self { details: details.into_iter().collect(), ..Self::new(StatusCode::BAD_REQUEST, "INVALID_INPUT", message) }
    }

    /// 400: the flow has fatal diagnostics.
    pub fn invalid_flow(details: Vec<Detail>, total: usize) -> Self {
        let message = match details.as_slice() {
            [only] => format!("the flow cannot run: {}", only.message),
            several if several.len() == total => format!("the flow cannot run: {total} things are wrong with it"),
            first => {
                let shown = first.len();
                format!("the flow cannot run: {total} things are wrong with it; `details` has the first {shown}")
            }
        };
        Self { details, ..Self::new(StatusCode::BAD_REQUEST, "INVALID_FLOW", message) }
    }

    /// 400: the request uses something that is not built yet. To ignore it would change what the caller asked for.
    pub fn not_built(what: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NOT_BUILT", format!("{what} is not built yet"))
    }

    /// 403: the request may come from a web page that must not use the API.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    /// 403: the request asks for secret values, which need a token.
    pub fn secrets_without_tokens() -> Self {
        let message = "`secrets=true` needs a token that may read secrets, and this server has no tokens: omit it, \
                       and secret values are shown as `[REDACTED]`";
        Self::forbidden(message)
    }

    /// 404
    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no {what} `{id}`"))
    }

    /// 409
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "CONFLICT", message)
    }

    /// 413
    pub fn too_large() -> Self {
        let limit = super::MAX_BODY / 1024 / 1024;
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", format!("the body is larger than {limit} MiB"))
    }

    /// 415
    pub fn not_json_typed() -> Self {
        let message = "the body must be sent with `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    /// 503: the server cannot do it now, and why, for every caller. The log tells more.
    pub fn unavailable(reason: &str, internal: impl std::fmt::Display) -> Self {
        let message = format!("the server cannot do this now: {reason}; try again later");
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message);
        Self { internal: Some(internal.to_string()), ..error }
    }

    /// 500: what is asked for is damaged in the store; the log has the details.
    pub fn damaged(internal: impl std::fmt::Display) -> Self {
        let message = "what is stored of it is damaged: the owner of the server finds out more with `db check`";
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "DAMAGED", message);
        Self { internal: Some(internal.to_string()), ..error }
    }

    /// 500: an error of the server; the log has the details.
    pub fn internal(internal: impl std::fmt::Display) -> Self {
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the server made a mistake");
        Self { internal: Some(internal.to_string()), ..error }
    }

    /// Adds a place in the body that is wrong.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>, message: impl Into<String>) -> Self {
        self.details.push(Detail { path: path.into(), message: message.into() });
        self
    }

    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), details: Vec::new(), internal: None }
    }

    fn into_answer(self, request_id: Uuid) -> Response {
        let short = |detail: Detail| Detail {
            path: cut(&detail.path, MAX_MESSAGE),
            message: cut(&detail.message, MAX_MESSAGE),
        };
        let body = ErrorBody {
            code: self.status.as_u16(),
            kind: self.kind.to_owned(),
            message: cut(&self.message, MAX_MESSAGE),
            details: self.details.into_iter().map(short).collect(),
            request_id: request_id.to_string(),
        };
        (self.status, axum::Json(body)).into_response()
    }
}

/// The answer without its body. [`with_request_ids`] writes the body, because it knows the request's id.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what, id } => Self::not_found(what, id),
            StoreError::Damaged(what) => Self::damaged(what),
            StoreError::Unavailable(Outage { reason, detail }) => {
                Self::unavailable(&format!("the state store is not available, {reason}"), detail)
            }
            error @ StoreError::Fenced { .. } => Self::unavailable("another server has taken the run over", error),
            error @ StoreError::Conflict { .. } => Self::unavailable("the run is being read again", error),
        }
    }
}

/// Gives each request an id, logs how it went, and writes the body of every failure.
pub async fn with_request_ids(request: Request, next: Next) -> Response {
    let request_id = Uuid::now_v7();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| Error::internal("a handler panicked").into_response());
    let failure = response.extensions_mut().remove::<Error>();
    let status = response.status().as_u16();
    match failure.as_ref().and_then(|error| error.internal.as_deref()) {
        Some(internal) => tracing::error!(%request_id, %method, path, status, "{internal}"),
        None => tracing::debug!(%request_id, %method, path, status, "answered"),
    }
    if let Some(error) = failure {
        let mut headers = std::mem::take(response.headers_mut());
        response = error.into_answer(request_id);
        // Keep the headers of other layers, such as those of CORS, but not the length: it was the one of an empty body.
        headers.remove(CONTENT_LENGTH);
        response.headers_mut().extend(headers);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// The answer to a path that is not a route.
pub async fn no_route(method: Method, uri: Uri) -> Error {
    Error::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no route `{method} {}`", uri.path()))
}

/// The answer to a method that a route does not have.
pub async fn no_method(method: Method, uri: Uri) -> Error {
    let message = format!("`{}` does not answer to {method}", uri.path());
    Error::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
}
