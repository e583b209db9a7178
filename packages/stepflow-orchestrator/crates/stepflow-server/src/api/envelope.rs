//! Reads the body and the path of requests, with our own answers to all mistakes in them.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use stepflow_flow::json_pointer;
use stepflow_protocol::Value;

use super::error::Error;
use super::plain::{self, Problem};

/// A JSON body. Values in it keep their exact text.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        if !is_json(request.headers()) {
            // A browser lets web pages send other content types to this server without a CORS preflight.
            return Err(Error::not_json_typed());
        }
        let bytes = Bytes::from_request(request, state).await.map_err(not_read)?;
        check_object(&bytes)?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let body = serde_path_to_error::deserialize(&mut json).map_err(refused)?;
        json.end().map_err(|error| Error::invalid_request(format!("the body is not one JSON value: {error}")))?;
        Ok(Self(body))
    }
}

/// The answer to a body that does not have the members of its type.
fn refused(error: serde_path_to_error::Error<serde_json::Error>) -> Error {
    let path = pointer(error.path());
    let member = match error.path().iter().next_back() {
        Some(serde_path_to_error::Segment::Map { key }) => Some(key.clone()),
        _ => None,
    };
    match plain::problem(&error.into_inner(), member.as_deref()) {
        Problem::Syntax(problem) => Error::invalid_request(format!("the body is not one JSON value: {problem}")),
        Problem::Member(problem) => {
            Error::invalid_request(format!("the body is not what this route takes: {problem}")).at(path, problem)
        }
    }
}

/// Checks that a body is an object. Without this, serde would take an array for the members in their order.
fn check_object(body: &[u8]) -> Result<(), Error> {
    if body.trim_ascii_start().starts_with(b"{") {
        return Ok(());
    }
    let body = Value::parse(body)
        .map_err(|error| Error::invalid_request(format!("the body is not one JSON value: {error}")))?;
    let problem = format!("it must be an object, and is {}", body.kind().with_article());
    Err(Error::invalid_request(format!("the body is not what this route takes: {problem}")).at("", problem))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn not_read(rejection: BytesRejection) -> Error {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => Error::too_large(),
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => Error::too_large(),
        other => Error::invalid_request(format!("the body could not be read: {other}")),
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => json_pointer::segment(&index.to_string()),
            Segment::Map { key } => json_pointer::segment(key),
            Segment::Enum { variant } => json_pointer::segment(variant),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// The only parameter of a path.
pub struct Id<T>(pub T);

impl<T: FromStr<Err: std::fmt::Display> + Send, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| Error::invalid_request(format!("the path cannot be read: {error}")))?;
        text.parse().map(Self).map_err(|error: T::Err| Error::invalid_request(error.to_string()))
    }
}
