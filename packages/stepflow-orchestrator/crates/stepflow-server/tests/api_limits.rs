//! Where the HTTP API refuses what is too deep, too much or not of its type, and how much it then tells.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap has failed it")]

#[allow(dead_code)]
mod api_fixture;

use api_fixture::{FLOW, api, call, post};

use axum::http::{Method, StatusCode};

use serde_json::{Value, json};

/// Arrays in one another.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn what_would_be_nested_too_deep_fails_where_it_is_built() {
    let api = api();
    let step = |component: &str, input: Value| json!({"steps": [{"id": "s", "component": component, "input": input}], "output": {"$step": "s"}});
    let copy = json!({"$input": "$"});
    let noop = step("/builtin/noop", json!({"x": [copy]}));
    let map = step("/builtin/map", json!({"workflow": {"$literal": {"output": copy}}, "items": [copy]}));
    for (flow, fits, place) in [
        (json!({"schemas": {"properties": {"input": {"type": "array"}}}, "output": copy}), 128, ""),
        (json!({"output": {"$if": true, "then": {"b": 1, "a": copy}}}), 127, "at `$`"),
        (json!({"output": {"b": [1], "a": copy}}), 127, "at `$.a`"),
        (noop, 126, "at `$.x[0]`"),
        (map, 125, "the result of the step"),
    ] {
        // A body cannot have more levels than this.
        let deepest = if fits == 128 { 128 } else { fits + 1 };
        for depth in fits..=deepest {
            let (_, run) = post(&api, "/runs", json!({"flow": flow, "input": [nested(depth)], "wait": true})).await;
            let result = &run["results"][0]["result"];
            if depth == fits {
                assert_eq!(result["outcome"], "success", "{flow} {depth}: {run}");
                continue;
            }
            assert_eq!(result["error"]["kind"], "EXPRESSION_FAILURE", "{flow} {depth}: {run}");
            let told = result["error"]["message"].as_str().unwrap();
            assert!(told.contains("nested more than 128 deep") && told.contains(place), "{told}");
        }
    }
}

#[tokio::test]
async fn of_very_many_misfits_the_first_are_shown_and_all_are_counted() {
    let api = api();
    let flow = json!({"schemas": {"properties": {"input": {"items": {"type": "integer"}}}}, "output": 1});
    let wrong = vec!["x"; 300];
    let (status, answer) = post(&api, "/runs", json!({"flow": flow, "input": [wrong, [1], wrong]})).await;
    assert_eq!((status, &answer["kind"]), (StatusCode::BAD_REQUEST, &json!("INVALID_INPUT")));
    assert_eq!(answer["message"], "the input does not fit the flow in 600 places; `details` has the first 100");
    assert_eq!(answer["details"].as_array().unwrap().len(), 100);
    assert_eq!(answer["details"][99]["path"], "/input/0/99");
}

#[tokio::test]
async fn of_very_many_mistakes_of_a_flow_all_are_counted() {
    let steps = vec![json!({"id": "same", "component": "/builtin/noop"}); 251];
    let (_, answer) = post(&api(), "/runs", json!({"flow": {"steps": steps}, "input": [1]})).await;
    assert_eq!(answer["details"].as_array().unwrap().len(), 100);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("250 things") && message.contains("the first 100"), "{message}");
}

#[tokio::test]
async fn a_refusal_repeats_no_more_than_the_beginning_of_what_was_sent() {
    let api = api();
    let long = "é".repeat(1 << 20);
    let patches = json!({"steps": {long.as_str(): {"value": {}}}});
    for body in [
        json!({"flow": FLOW, "input": [1], "wait": long}),
        json!({"flow": FLOW, "input": [1], long.as_str(): 1}),
        json!({"flow": FLOW, "input": long}),
        json!({"flowId": long, "input": [1]}),
        json!({"flow": FLOW, "input": [1], "overrides": patches}),
    ] {
        let (status, answer) = post(&api, "/runs", body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(400)));
        assert!(answer.to_string().len() < 16_000, "{}", answer.to_string().len());
    }
    let (_, answer) = call(&api, Method::GET, &format!("/health?{}=1", "x".repeat(5000)), "").await;
    assert!(answer["message"].as_str().unwrap().len() < 500, "{answer}");
}

#[tokio::test]
async fn a_misfit_says_what_its_schema_asks_for() {
    let api = api();
    for (schema, words) in [
        (json!({"type": "integer", "minimum": 5}), "the value is less than the minimum of 5"),
        (json!({"enum": [1, 2]}), "expected one of [1,2], found number"),
        (json!({"type": "string"}), "expected string, found number"),
    ] {
        let flow = json!({"schemas": {"properties": {"input": {"properties": {"n": schema}}}}, "output": 1});
        let (_, answer) = post(&api, "/runs", json!({"flow": flow, "input": [{"n": 3}]})).await;
        assert_eq!(answer["details"], json!([{"path": "/input/0/n", "message": words}]));
    }
}
