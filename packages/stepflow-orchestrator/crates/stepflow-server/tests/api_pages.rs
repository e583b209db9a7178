//! Which web pages may use the HTTP API.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap has failed it")]

#[allow(dead_code)]
mod api_fixture;

use api_fixture::{api, api_with, send};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};

use serde_json::{Value, json};

use stepflow_server::access::Access;
use stepflow_server::api::routes;

use tower::ServiceExt as _;

/// Requests that web pages of other sites can have a browser send, with their own host name or with ours.
const PAGES: [&[(&str, &str)]; 5] = [
    &[("host", "evil.example:7840"), ("content-type", "application/json")],
    &[("host", "localhost:7840"), ("origin", "https://evil.example"), ("content-type", "text/plain")],
    &[("host", "127.0.0.1:7840"), ("origin", "null"), ("content-type", "application/json")],
    &[("host", "127.0.0.1:7840"), ("origin", "http://127.0.0.1:3000"), ("content-type", "application/json")],
    &[("host", "localhost:7840"), ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "image")],
];

fn with_headers(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body("{}".into()).unwrap()
}

#[tokio::test]
async fn a_page_of_another_origin_reaches_no_route() {
    let api = api();
    let everywhere = routes().into_iter().map(|route| (route.method, format!("/api/v1{}", route.path)));
    let nowhere = [(Method::GET, "/".to_owned()), (Method::DELETE, "/api/v1/runs".to_owned())];
    for (method, path) in everywhere.chain(nowhere) {
        for page in PAGES {
            for method in [method.clone(), Method::OPTIONS] {
                let (status, answer) = send(&api, with_headers(method.clone(), &path, page)).await;
                assert_eq!((status, &answer["kind"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_refused_page_is_told_which_setting_would_let_it_in() {
    let api = api();
    let (_, answer) = send(&api, with_headers(Method::GET, "/api/v1/health", PAGES[0])).await;
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("`evil.example:7840`") && message.contains("`server.allowedHosts`"), "{message}");
    let (_, answer) = send(&api, with_headers(Method::GET, "/api/v1/health", PAGES[1])).await;
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("`https://evil.example`") && message.contains("`server.cors.origins`"), "{message}");
}

#[tokio::test]
async fn a_listed_page_may_ask_and_read_failures_too() {
    let origin = "https://app.example.com";
    let api = api_with(Access::new(vec!["flows.example.com".to_owned()], vec![origin.to_owned()]));
    let headers = [("host", "flows.example.com"), ("origin", origin), ("access-control-request-method", "POST")];
    let preflight = api.clone().oneshot(with_headers(Method::OPTIONS, "/api/v1/runs", &headers)).await.unwrap();
    assert_eq!(preflight.status(), StatusCode::OK);
    assert_eq!(preflight.headers()["access-control-allow-origin"], origin);
    assert!(preflight.headers()["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    let asked = api.clone().oneshot(with_headers(Method::GET, "/api/v1/runs/nonsense", &headers[..2])).await.unwrap();
    assert_eq!(asked.status(), StatusCode::BAD_REQUEST);
    assert_eq!(asked.headers()["access-control-allow-origin"], origin);
    let body: Value = serde_json::from_slice(&to_bytes(asked.into_body(), usize::MAX).await.unwrap()).unwrap();
    assert_eq!(body["kind"], "INVALID_REQUEST");
}

#[tokio::test]
async fn the_page_of_the_server_itself_may_ask() {
    let own = [("host", "localhost:7840"), ("origin", "http://localhost:7840"), ("sec-fetch-site", "same-origin")];
    assert_eq!(send(&api(), with_headers(Method::GET, "/api/v1/health", &own)).await.0, StatusCode::OK);
}
