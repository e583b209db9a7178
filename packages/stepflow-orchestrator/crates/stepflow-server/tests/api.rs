//! The HTTP API from outside: every route answers, every failure is JSON.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap has failed it")]

#[allow(dead_code)]
mod api_fixture;

use api_fixture::{FLOW, api, call, post, send};
use axum::Router;

use axum::http::{Method, Request, StatusCode};

use serde_json::{Value, json};

use stepflow_server::api::{MAX_BODY, routes};

#[tokio::test]
async fn every_route_of_the_table_answers_and_no_other_verb_does() {
    let api = api();
    for route in routes() {
        let path = route
            .path
            .replace("{flow_id}", &"0".repeat(64))
            .replace("{run_id}", "01890000-0000-7000-8000-000000000001");
        let (_, answer) = call(&api, route.method.clone(), &path, "{}").await;
        assert_ne!(answer["kind"], "METHOD_NOT_ALLOWED", "{} {path}", route.method);
        assert!(!answer["message"].to_string().contains("no route"), "{path}");
        let (status, answer) = call(&api, Method::PATCH, &path, "{}").await;
        assert_eq!((status.as_u16(), &answer["code"]), (405, &json!(405)));
    }
}

#[tokio::test]
async fn operations_have_names_of_their_own() {
    let mut names: Vec<&str> = routes().iter().map(|route| route.operation).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[tokio::test]
async fn a_run_that_is_waited_for_answers_with_its_results() {
    let api = api();
    let (status, run) = post(&api, "/runs", json!({"flow": FLOW, "input": [1, {"a": null}], "wait": true})).await;
    assert_eq!((status, &run["status"]), (StatusCode::OK, &json!("completed")));
    assert_eq!(run["itemCount"], 2);
    assert_eq!(run["results"][1]["result"], json!({"outcome": "success", "result": {"a": null}}));
    assert_eq!(run["rootRunId"], run["runId"]);
}

#[tokio::test]
async fn the_only_item_has_its_result_beside_the_run() {
    let api = api();
    let (_, run) = post(&api, "/runs", json!({"flow": FLOW, "input": [7], "wait": true})).await;
    assert_eq!(run["result"]["result"], 7);
    let (_, shown) = call(&api, Method::GET, &format!("/runs/{}", run["runId"].as_str().unwrap()), "").await;
    assert_eq!(shown["result"]["result"], 7);
    assert_eq!(shown["results"], Value::Null);
}

#[tokio::test]
async fn the_same_flow_as_text_and_as_object_is_one_flow() {
    let api = api();
    let (_, text) = post(&api, "/flows", json!({"flow": FLOW})).await;
    let object = json!({"name": "copy", "steps": [{"id": "copy", "component": "/builtin/noop", "input": {"$input": "$"}}], "output": {"$step": "copy"}});
    let (_, parsed) = post(&api, "/flows", json!({"flow": object})).await;
    assert_eq!(text["flowId"], parsed["flowId"]);
    assert_eq!(text["stored"], true);
}

#[tokio::test]
async fn explicit_nulls_mean_absent() {
    let api = api();
    let body = json!({"flow": FLOW, "flowId": null, "input": [1], "variables": null, "wait": null, "labels": null});
    assert_eq!(post(&api, "/runs", body).await.0, StatusCode::ACCEPTED);
    assert_eq!(post(&api, "/runs", json!({"flow": FLOW, "input": null})).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused_wherever_it_is_in_a_body() {
    let api = api();
    let flow = json!(FLOW);
    for (path, body, said) in [
        ("/runs", format!(r#"{{"flow":{flow},"input":[{{"a":1,"\u0061":2}}]}}"#), "`$.a`"),
        ("/runs", format!(r#"{{"flow":{flow},"input":[1],"variables":{{"x":[{{"a":1,"a":2}}]}}}}"#), "`$.x[0].a`"),
        ("/runs", format!(r#"{{"flow":{flow},"input":[1],"overrides":{{"steps":{{}},"steps":{{}}}}}}"#), "`$.steps`"),
        ("/runs", format!(r#"{{"flow":{flow},"flow":{flow},"input":[1]}}"#), "`flow` appears twice"),
        ("/runs", format!(r#"{{"flowId":"{0}","flowId":"{0}"}}"#, "a".repeat(64)), "`flowId` appears twice"),
        ("/runs", format!(r#"{{"flow":{flow},"input":[1],"\u0069nput":[2]}}"#), "`input` appears twice"),
        ("/flows", r#"{"flow":{"steps":[],"steps":[]}}"#.to_owned(), "`$.steps`"),
    ] {
        let (status, answer) = call(&api, Method::POST, path, body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer["message"].as_str().unwrap().contains(said), "{body}: {answer}");
    }
}

#[tokio::test]
async fn a_value_that_is_refused_is_named_by_its_place() {
    let api = api();
    let flow = json!(FLOW);
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    for (input, said) in [
        (format!(r#"{{"a":[1,{deep}]}}"#), "nested more than 128 deep: `$.a[1][0][0][0][0]…[0][0]`"),
        (r#"{"a":[1,{"b":"x\ud800"}]}"#.to_owned(), "a string holds half of a surrogate pair: `$.a[1].b`"),
        (r#"{"a":[1,{"b":2,"b":2}]}"#.to_owned(), "a key appears twice in one object: `$.a[1].b`"),
    ] {
        let body = format!(r#"{{"flow":{flow},"input":[{input}]}}"#);
        let (status, answer) = call(&api, Method::POST, "/runs", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{input}");
        assert!(answer["message"].as_str().unwrap().contains(said), "{answer}");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let request = Request::post("/api/v1/runs").header("content-type", "text/plain").body("{}".into()).unwrap();
    assert_eq!(send(&api(), request).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let api = api();
    let run = json!([null, {"steps": []}, [1], null, null, null, null, null, null]);
    for (body, found) in [
        (json!([{"steps": []}]), "an array"),
        (run, "an array"),
        (json!([]), "an array"),
        (json!("{}"), "a string"),
        (json!(null), "null"),
    ] {
        for path in ["/flows", "/runs"] {
            let (status, answer) = post(&api, path, body.clone()).await;
            assert_eq!((status, &answer["kind"]), (StatusCode::BAD_REQUEST, &json!("INVALID_REQUEST")));
            let told = format!("the body is not what this route takes: it must be an object, and is {found}");
            assert_eq!(
                (&answer["message"], &answer["details"][0]["path"]),
                (&json!(told), &json!("")),
                "{path} {body}"
            );
        }
    }
    let (status, answer) = call(&api, Method::POST, "/flows", " ").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["message"].as_str().unwrap().starts_with("the body is not one JSON value"), "{answer}");
}

#[tokio::test]
async fn a_member_of_another_type_is_refused_in_the_words_of_json() {
    let api = api();
    for (body, place, said) in [
        (
            json!({"flow": {}, "input": {"n": 1}}),
            "/input",
            "`input` must be a list with one element for each item, and is an object",
        ),
        (
            json!({"flow": {}, "input": [1], "timeoutSecs": "x"}),
            "/timeoutSecs",
            "`timeoutSecs` must be a whole number that is not negative, and is a string",
        ),
        (json!({"flow": {}, "input": [1], "wait": 1}), "/wait", "`wait` must be `true` or `false`, and is a number"),
    ] {
        let (status, answer) = post(&api, "/runs", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer["details"], json!([{"path": place, "message": said}]));
        assert_eq!(answer["message"], format!("the body is not what this route takes: {said}"));
    }
    let (_, answer) = call(&api, Method::POST, "/runs", r#"{"input": [1"#).await;
    assert_eq!(answer["message"], "the body is not one JSON value: the text ends inside a list at line 1 column 12");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let (status, answer) = call(&api(), Method::POST, "/flows", vec![b' '; MAX_BODY + 1]).await;
    assert_eq!((status, &answer["kind"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("TOO_LARGE")));
}

#[tokio::test]
async fn a_header_that_is_not_built_is_not_ignored() {
    let request =
        Request::post("/api/v1/runs").header("content-type", "application/json").header("idempotency-key", "a");
    let request = request.body(json!({"flow": FLOW, "input": [1]}).to_string().into()).unwrap();
    assert_eq!(send(&api(), request).await.1["kind"], "NOT_BUILT");
}

/// Echoes its input and shows the secret token beside it.
const SECRETS: &str = "schemas: {properties: {variables: {properties: {token: {is_secret: true}}}, output: {properties: {pin: {is_secret: true}}}}}\n\
    steps:\n- {id: copy, component: /builtin/noop, input: {t: {$variable: token}, pin: 1}}\n\
    - {id: bad, component: /builtin/get_blob, input: {blob_id: {$variable: token}}, onError: {action: useDefault}}\n\
    output: {token: {$variable: token}, pin: {$step: copy, path: $.pin}, bad: {$step: bad}}\n";

async fn secret_run(api: &Router) -> Value {
    let body = json!({"flow": SECRETS, "input": [1], "variables": {"token": "sesame"}, "wait": true});
    post(api, "/runs", body).await.1
}

#[tokio::test]
async fn outputs_are_read_without_their_secrets() {
    let api = api();
    let run = secret_run(&api).await;
    let shown = json!({"outcome": "success", "result": {"token": "[REDACTED]", "pin": "[REDACTED]", "bad": null}});
    assert_eq!((&run["result"], &run["results"][0]["result"]), (&shown, &shown));
    let path = format!("/runs/{}", run["runId"].as_str().unwrap());
    assert_eq!(call(&api, Method::GET, &path, "").await.1["result"], shown);
    let (_, items) = call(&api, Method::GET, &format!("{path}/items"), "").await;
    assert_eq!(items["items"][0]["result"], shown);
}

#[tokio::test]
async fn errors_are_read_without_their_secrets() {
    let api = api();
    let flow = SECRETS.replace(", onError: {action: useDefault}", "");
    let body = json!({"flow": flow, "input": [1], "variables": {"token": "a".repeat(63)}, "wait": true});
    let (_, run) = post(&api, "/runs", body).await;
    let path = format!("/runs/{}", run["runId"].as_str().unwrap());
    for read in [path.clone(), format!("{path}/items"), format!("{path}/steps?includeOutputs=false")] {
        let (status, answer) = call(&api, Method::GET, &read, "").await;
        assert_eq!(status, StatusCode::OK);
        assert!(answer.to_string().contains("failed"), "{answer}");
        assert!(!answer.to_string().contains("aaaa"), "{answer}");
    }
}

#[tokio::test]
async fn secrets_are_refused_by_a_server_without_tokens() {
    let api = api();
    let run = secret_run(&api).await;
    let path = format!("/runs/{}", run["runId"].as_str().unwrap());
    for read in [path.clone(), format!("{path}/items"), format!("{path}/steps")] {
        let (status, answer) = call(&api, Method::GET, &format!("{read}?secrets=true"), "").await;
        assert_eq!((status, &answer["kind"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")), "{read}");
        assert!(answer["message"].as_str().unwrap().contains("no tokens"), "{answer}");
        assert_eq!(call(&api, Method::GET, &format!("{read}?secrets=false"), "").await.0, StatusCode::OK);
    }
    assert_eq!(post(&api, "/runs?secrets=true", json!({"flow": FLOW, "input": [1]})).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_run_with_overrides_is_read_by_its_own_steps() {
    let api = api();
    let overrides = json!({"steps": {"copy": {"value": {"id": "renamed"}}}});
    let body = json!({"flow": FLOW.replace("{$step: copy}", "1"), "input": [1], "overrides": overrides, "wait": true});
    let (status, run) = post(&api, "/runs", body).await;
    assert_eq!(status, StatusCode::OK, "{run}");
    let (_, steps) = call(&api, Method::GET, &format!("/runs/{}/steps", run["runId"].as_str().unwrap()), "").await;
    assert_eq!(steps["steps"]["renamed"]["component"], "/builtin/noop");
}

#[tokio::test]
async fn no_route_ignores_a_parameter() {
    let api = api();
    for route in routes() {
        let path = route
            .path
            .replace("{flow_id}", &"0".repeat(64))
            .replace("{run_id}", "01890000-0000-7000-8000-000000000001");
        let (status, answer) = call(&api, route.method.clone(), &format!("{path}?itemIndx=1"), "{}").await;
        let message = answer["message"].as_str().unwrap();
        assert_eq!(
            (status, &answer["kind"]),
            (StatusCode::BAD_REQUEST, &json!("INVALID_REQUEST")),
            "{path}: {message}"
        );
        assert!(message.contains("no parameter `itemIndx`"), "{path}: {message}");
    }
}

#[tokio::test]
async fn a_parameter_that_is_wrong_is_named() {
    let api = api();
    let (_, run) = post(&api, "/runs", json!({"flow": FLOW, "input": [1], "wait": true})).await;
    let run = run["runId"].as_str().unwrap();
    for (query, words) in [
        ("itemIndx=1", "did you mean `itemIndex`?"),
        ("first=1", "it takes `itemIndex`, `resultOrder`, `secrets`"),
        ("itemIndex=0&itemIndex=0", "`itemIndex` is given twice"),
        ("itemIndex=-1", "`itemIndex` must be a whole number from 0 to 4294967295, and is `-1`"),
        ("itemIndex=", "and is empty"),
        ("resultOrder=alphabetical", "`resultOrder` must be one of"),
        ("secrets=maybe", "`secrets` must be `true` or `false`, and is `maybe`"),
    ] {
        let (status, answer) = call(&api, Method::GET, &format!("/runs/{run}/items?{query}"), "").await;
        let message = answer["message"].as_str().unwrap();
        assert!(status == StatusCode::BAD_REQUEST && message.contains(words), "{query}: {message}");
    }
}

#[tokio::test]
async fn one_item_of_a_run_can_be_shown_and_all_in_another_order() {
    let api = api();
    let (_, run) = post(&api, "/runs", json!({"flow": FLOW, "input": ["a", "b", "c"], "wait": true})).await;
    let items = format!("/runs/{}/items", run["runId"].as_str().unwrap());
    let (_, one) = call(&api, Method::GET, &format!("{items}?itemIndex=1"), "").await;
    assert_eq!(one["itemCount"], 3);
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!((&one["items"][0]["itemIndex"], &one["items"][0]["result"]["result"]), (&json!(1), &json!("b")));
    assert_eq!(call(&api, Method::GET, &format!("{items}?itemIndex=3"), "").await.0, StatusCode::NOT_FOUND);
    for order in ["by_index", "byCompletion", "RESULT_ORDER_BY_COMPLETION"] {
        let (status, all) = call(&api, Method::GET, &format!("{items}?resultOrder={order}"), "").await;
        let ended: Vec<&str> =
            all["items"].as_array().unwrap().iter().filter_map(|it| it["completedAt"].as_str()).collect();
        assert_eq!((status, ended.len()), (StatusCode::OK, 3));
        assert!(order == "by_index" || ended.is_sorted(), "{ended:?}");
    }
}

#[tokio::test]
async fn a_refused_run_leaves_nothing_behind() {
    let api = api();
    let flow = json!({"schemas": {"properties": {"input": {"type": "object"}}}, "output": {"$input": "$"}});
    let (_, checked) = post(&api, "/flows", json!({"flow": flow, "dryRun": true})).await;
    let flow_path = format!("/flows/{}", checked["flowId"].as_str().unwrap());
    for (change, value) in [
        ("input", json!([1])),
        ("variables", json!(3)),
        ("overrides", json!({"steps": {"nowhere": {"value": {}}}})),
        ("maxConcurrency", json!(0)),
        ("labels", json!({"a": "b"})),
        ("labels", json!(5)),
        ("labels", json!(["a"])),
    ] {
        let mut body = json!({"flow": flow, "input": [{}]});
        body[change] = value;
        assert_eq!(post(&api, "/runs", body).await.0, StatusCode::BAD_REQUEST, "{change}");
        assert_eq!(call(&api, Method::GET, &flow_path, "").await.0, StatusCode::NOT_FOUND, "{change}");
    }
    post(&api, "/runs", json!({"flow": flow, "input": [{}]})).await;
    assert_eq!(call(&api, Method::GET, &flow_path, "").await.0, StatusCode::OK);
}
