//! Sub-runs that a worker asks for, as the worker and the clients of the API see them: with a small Python program and the
//! real engine, store and API.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test cannot unwrap has failed it")]

mod asking;

use asking::{FLOW_OF, TestServer, flow};
use serde_json::{Value, json};

const NEST: &str =
    "{name: nest, steps: [{id: deeper, component: /python/nest, input: {$input: $}}], output: {$step: deeper}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_one_slot_runs_flows_three_levels_deep_at_one_attempt_at_a_time() {
    let server = TestServer::start(&[], 1).await;
    let id = server.store(NEST).await;
    let run = server.run_with(NEST, json!({"left": 3, "flow": id}), json!({"maxConcurrency": 1})).await;
    let mut result = &run["result"];
    for _ in 0..3 {
        assert_eq!(result["outcome"], "success", "{run}");
        result = &result["result"];
    }
    assert_eq!(result["result"], "the bottom");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_may_wait_for_two_runs_at_once_on_its_only_slot() {
    let server = TestServer::start(&[], 1).await;
    let echo = server.store(&flow("/python/echo", "{$input: $}")).await;
    let output = server.output(&flow("/python/both", "{$input: $}"), json!({"flow": echo})).await;
    assert_eq!(output, json!(["completed", "completed"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_run_stands_in_its_roots_tree_with_the_run_above_it() {
    let server = TestServer::start(&[], 8).await;
    let echo = server.store(&flow("/python/echo", "{$input: $}")).await;
    let run = server.ask("runs/submit", json!({"flowId": echo, "inputs": [1, 2], "wait": true})).await;
    let status = &run["result"]["result"]["result"];
    assert_eq!(status["items"], json!({"total": 2, "completed": 2, "running": 0, "failed": 0, "cancelled": 0}));
    assert_eq!(status["results"][1]["result"], json!({"outcome": "success", "result": 2}));
    let shown = server.show(&status["runId"]).await;
    assert_eq!((&shown["parentRunId"], &shown["rootRunId"]), (&run["runId"], &run["runId"]));
    assert_eq!(shown["status"], "completed");
    assert_eq!(server.part(&status["runId"], "items").await["items"][0]["result"]["result"], 1);
    assert_eq!(server.part(&status["runId"], "steps").await["steps"]["a"]["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_a_component_runs_starts_the_workers_that_it_needs() {
    let server = TestServer::start(&[], 8).await;
    let echo = server.store(&flow("/late/echo", "{$input: $}")).await;
    let run = server.ask("runs/submit", json!({"flowId": echo, "inputs": [1], "wait": true})).await;
    assert_eq!(run["result"]["result"]["result"]["status"], "completed", "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_finds_the_run_that_the_first_one_made() {
    let server = TestServer::start(&[], 8).await;
    let count = server.store(&flow("/python/count", "{}")).await;
    for key in [json!({}), json!({"key": "mine"})] {
        let mut params = json!({"flowId": count, "inputs": [1], "wait": true});
        params.as_object_mut().unwrap().extend(key.as_object().unwrap().clone());
        let again = flow("/python/again", "{$input: $}, onError: {action: retry}");
        let runs = server.output(&again, json!({"method": "runs/submit", "params": params})).await;
        assert_eq!(runs[0], runs[1], "the second attempt made a run of its own");
    }
    assert_eq!(server.output(&flow("/python/count", "{}"), json!({})).await, 3, "each sub-run ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_flow() {
    let server = TestServer::start(&[], 8).await;
    let one = server.store(&flow("/python/count", "{}")).await;
    let other = server.store(&flow("/python/echo", "{}")).await;
    let reply = server.output(&flow("/python/reuse", "{$input: $}"), json!([one, other])).await;
    let error = &reply["error"];
    assert_eq!(error["code"], -32000);
    assert!(error["message"].to_string().contains("of another flow already"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_run_is_a_root_of_its_own() {
    let server = TestServer::start(&[], 8).await;
    let hold = server.store(&flow("/python/hold", "{}")).await;
    let run = server.ask("runs/submit", json!({"flowId": hold, "inputs": [{}], "detached": true})).await;
    let status = &run["result"]["result"]["result"];
    let shown = server.show(&status["runId"]).await;
    assert_eq!((&shown["rootRunId"], &shown["status"]), (&status["runId"], &json!("running")));
    assert_eq!(server.cancel(&status["runId"]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_waits_for_ends_with_the_run_above_it() {
    let server = TestServer::start(&[], 8).await;
    let hold = server.store(&flow("/python/hold", "{}")).await;
    let run = server.ask("runs/submit", json!({"flowId": hold, "inputs": [{}]})).await;
    assert_eq!(run["result"]["result"]["result"]["status"], "running");
    assert_eq!(server.show(&run["result"]["result"]["result"]["runId"]).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides_change_the_sub_run_alone_and_variables_are_inherited() {
    let server = TestServer::start(&[], 8).await;
    let named = "{name: v, steps: [{id: a, component: /python/echo, input: {$variable: who}}], output: {$step: a}}";
    let named = server.store(named).await;
    let overrides = json!({"steps": {"a": {"value": {"input": "somebody else"}}}});
    for (overrides, expected) in [(json!(null), "me"), (overrides, "somebody else"), (json!(null), "me")] {
        let params = json!({"flowId": named, "inputs": [1], "wait": true, "overrides": overrides});
        let asked = json!({"method": "runs/submit", "params": params});
        let options = json!({"variables": {"who": "me"}});
        let run = server.run_with(&flow("/python/ask", "{$input: $}"), asked, options).await;
        assert_eq!(run["result"]["result"]["result"]["results"][0]["result"]["result"], expected);
    }
}

/// Schemas with a secret in the input and two secret variables.
const SECRETS: &str = "schemas: {properties: {input: {properties: {pin: {is_secret: true}}}, \
    variables: {properties: {token: {is_secret: true}, flag: {is_secret: true}}}}}";

#[tokio::test(flavor = "multi_thread")]
async fn the_api_shows_the_output_of_a_sub_run_without_the_secrets_around_it() {
    let server = TestServer::start(&[], 8).await;
    let all = "{token: {$variable: token}, flag: {$variable: flag}, given: {$input: $}, open: 1}";
    let step = format!("{{id: all, component: /builtin/noop, mustExecute: true, input: {all}}}");
    let inner = server.store(&format!("{{name: i, steps: [{step}], output: {all}}}")).await;
    let options = json!({"variables": {"token": "sesame", "flag": true}});
    let given = "{p: {$input: $.pin}, t: {$variable: token}}";
    let steps = [
        format!("component: /builtin/eval, input: {{flow_id: {inner}, input: {given}}}"),
        format!(
            "component: /python/ask, input: {{method: runs/submit, params: {{flowId: {inner}, inputs: [{given}], wait: true}}}}"
        ),
    ];
    for step in steps {
        let flow = format!("{{{SECRETS}, steps: [{{id: a, mustExecute: true, {step}}}], output: 1}}");
        let run = server.run_with(&flow, json!({"pin": 123_456}), options.clone()).await;
        assert_eq!(run["status"], "completed", "{run}");
        let sub_run = server.sub_run_of(&run["runId"]).await;
        let hidden = "[REDACTED]";
        let expected = json!({"token": hidden, "flag": hidden, "given": {"p": hidden, "t": hidden}, "open": 1});
        let items = server.part(&sub_run, "items").await;
        assert_eq!(items["items"][0]["result"]["result"], expected, "{items}");
        assert_eq!(server.show(&sub_run).await["result"]["result"], expected);
        let steps = server.part(&sub_run, "steps?includeOutputs=true").await;
        // Where in the output of a step the secrets are is not known: they are found by their values, and `true` is none.
        let expected = json!({"token": hidden, "flag": true, "given": {"p": hidden, "t": hidden}, "open": 1});
        assert_eq!(steps["steps"]["all"]["result"]["result"], expected, "{steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_do_not_fit_make_no_run() {
    let server = TestServer::start(&[], 8).await;
    let typed = "{name: t, schemas: {type: object, properties: {input: {type: object, required: [q]}}}, output: 1}";
    let typed = server.store(typed).await;
    let error = server.error("runs/submit", json!({"flowId": typed, "inputs": [{"q": 1}, {}], "wait": true})).await;
    assert_eq!((&error["code"], &error["data"]["path"]), (&json!(-32002), &json!("/1/q")));
    assert!(error["message"].to_string().contains("no run was made"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_has_a_number() {
    let server = TestServer::start(&[], 8).await;
    let (zeros, nobody) = ("0".repeat(64), "01890000-0000-7000-8000-000000000001");
    let cases = [
        ("runs/submit", json!({"flowId": zeros, "inputs": [1]}), -32011),
        ("runs/submit", json!({"flowId": "x", "inputs": [1]}), -32012),
        ("runs/submit", json!({"flowId": zeros}), -32602),
        ("runs/submit", json!({"flowId": zeros, "inputs": [1], "taskId": "x"}), -32012),
        ("runs/submit", json!({"flowId": zeros, "inputs": [1], "attempt": null}), -32602),
        ("runs/submit", json!({"flowId": zeros, "inputs": [1], "key": "k", "detached": true}), -32602),
        ("runs/submit", json!({"flowId": zeros, "inputs": [1], "maxConcurrency": 0}), -32602),
        ("runs/get", json!({"runId": nobody}), -32011),
        ("runs/get", json!({"runId": 3}), -32602),
        ("runs/get", json!({"runId": "x"}), -32012),
        ("runs/nothing", json!({}), -32601),
    ];
    for (method, params, code) in cases {
        let error = server.error(method, params.clone()).await;
        assert_eq!(error["code"], code, "{method} {params}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_open_execute_may_ask() {
    let server = TestServer::start(&[], 8).await;
    let echo = server.store(&flow("/python/echo", "{}")).await;
    let stale = json!({"flowId": echo, "inputs": [1], "attempt": 7});
    let error = server.error("runs/submit", stale).await;
    assert_eq!(error["code"], -32000);
    assert!(error["message"].to_string().contains("not open any more"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_call_themselves_for_ever_are_stopped_with_their_chain() {
    let server = TestServer::start(&[], 256).await;
    let id = server.store(NEST).await;
    let text = server.run(NEST, json!({"left": 100, "flow": id})).await.to_string();
    assert!(text.contains("sub-runs are nested more than 64 deep: deeper"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_type_flow_is_a_flow_whatever_its_own_id_is() {
    let server = TestServer::start(&[], 8).await;
    // Not the canonical form: an empty list of steps and another order of members.
    let document = json!({"output": {"$input": "$"}, "steps": [], "name": "there"});
    let kept = server.ask("blobs/put", json!({"data": document, "blob_type": "flow"})).await;
    let id = &kept["result"]["result"]["result"]["blob_id"];
    let run = server.ask("runs/submit", json!({"flowId": id, "inputs": [5], "wait": true})).await;
    let status = &run["result"]["result"]["result"];
    assert_eq!((&status["results"][0]["result"]["result"], &status["flowName"]), (&json!(5), &json!("there")));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_by_index_or_by_completion_and_only_when_asked_for() {
    let server = TestServer::start(&[], 8).await;
    let echo = server.store(&flow("/python/echo", "{$input: $}")).await;
    let run = server.ask("runs/submit", json!({"flowId": echo, "inputs": [1, 2], "wait": true})).await;
    let id = &run["result"]["result"]["result"]["runId"];
    for order in ["by_index", "by_completion"] {
        let params = json!({"runId": id, "includeResults": true, "resultOrder": order, "wait": null});
        let got = server.ask("runs/get", params).await;
        assert_eq!(got["result"]["result"]["result"]["results"].as_array().unwrap().len(), 2);
    }
    let bare = server.ask("runs/get", json!({"runId": id})).await;
    assert_eq!(bare["result"]["result"]["result"].get("results"), None::<&Value>);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_sub_run_is_told_to_the_worker_that_waits_for_it() {
    let server = TestServer::start(&[], 8).await;
    let hold = server.store(&flow("/python/hold", "{}")).await;
    let asked = json!({"method": "runs/submit", "params": {"flowId": hold, "inputs": [{}], "wait": true}});
    let root = server.submit(&flow("/python/ask", "{$input: $}"), asked).await;
    let sub_run = server.sub_run_of(&root).await;
    assert_eq!(server.cancel(&sub_run).await, 200);
    assert_eq!(server.cancel(&sub_run).await, 409);
    let run = server.ended(&root).await;
    assert_eq!(run["status"], "completed");
    assert_eq!(run["result"]["result"]["result"]["status"], "cancelled");
    assert_eq!(server.cancel(&json!("01890000-0000-7000-8000-000000000001")).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sub_runs_of_a_cancelled_run_are_cancelled_too_and_their_workers_told() {
    let server = TestServer::start(&[], 2).await;
    let hold = server.store(&flow("/python/hold", "{}")).await;
    let asked = json!({"method": "runs/submit", "params": {"flowId": hold, "inputs": [{}], "wait": true}});
    let root = server.submit(&flow("/python/ask", "{$input: $}"), asked).await;
    let sub_run = server.sub_run_of(&root).await;
    assert_eq!(server.cancel(&root).await, 200);
    assert_eq!(server.show(&sub_run).await["status"], "cancelled");
    // Both slots are free again: the worker has let go.
    let echo = flow("/python/echo", "{$input: $}");
    assert_eq!(server.output(&echo, json!("free")).await, "free");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_sub_runs_of_a_step_that_fails_are_cancelled() {
    let server = TestServer::start(&[], 8).await;
    let hold = server.store(&flow("/python/hold", "{}")).await;
    let fails = json!({"method": "runs/submit", "params": {"flowId": hold, "inputs": [{}]}});
    // Another step is still running, so the sub-run is not cancelled because the run ended.
    let two = "{name: two, steps: [{id: a, component: /python/fails, input: {$input: $}, onError: {action: useDefault}}, \
        {id: b, component: /python/hold, input: {$step: a}}], output: {$step: b}}";
    let root = server.submit(two, fails).await;
    let sub_run = server.sub_run_of(&root).await;
    assert_eq!(server.ended(&sub_run).await["status"], "cancelled");
    assert_eq!(server.show(&root).await["status"], "running");
    assert_eq!(server.cancel(&root).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_flow_step_fails_when_its_sub_run_is_cancelled() {
    let server = TestServer::start(&[], 8).await;
    let root = server.submit(FLOW_OF, json!([{}])).await;
    let sub_run = server.sub_run_of(&root).await;
    assert_eq!(server.cancel(&sub_run).await, 200);
    let run = server.ended(&root).await;
    assert_eq!((&run["status"], &run["result"]["error"]["kind"]), (&json!("failed"), &json!("CANCELLED")));
}
