//! The API without a connection, for the tests of its routes.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use serde::Deserialize as _;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stepflow_flow::Source;
use stepflow_server::access::Access;
use stepflow_server::api::router;
use stepflow_server::config;
use stepflow_server::service::Service;
use stepflow_server::store::Store;
use tower::ServiceExt as _;

pub const FLOW: &str =
    "name: copy\nsteps:\n- {id: copy, component: /builtin/noop, input: {$input: $}}\noutput: {$step: copy}\n";

pub fn api() -> Router {
    api_with(Access::default())
}

pub fn api_with(access: Access) -> Router {
    let text = "plugins: {builtin: {type: builtin}}\nroutes: {'/builtin/{*component}': [{plugin: builtin}]}\n";
    let config = config::read(Source::yaml("config.yml", text), PathBuf::from("/")).unwrap();
    router(Arc::new(Service::new(&config, Store::default(), Duration::ZERO).unwrap()), access)
}

pub async fn send(api: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = api.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    assert_eq!(head.headers["content-type"], "application/json");
    assert!(head.headers.contains_key("x-request-id"));
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut json = serde_json::Deserializer::from_slice(&body);
    json.disable_recursion_limit();
    (head.status, Value::deserialize(&mut json).unwrap())
}

pub async fn call(api: &Router, method: Method, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    send(api, request.header("content-type", "application/json").body(body.into()).unwrap()).await
}

pub async fn post(api: &Router, path: &str, body: Value) -> (StatusCode, Value) {
    call(api, Method::POST, path, body.to_string()).await
}
