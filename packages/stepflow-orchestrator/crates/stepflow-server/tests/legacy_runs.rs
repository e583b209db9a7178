//! The requests of published workers up to 0.7, which do not name their task.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test cannot unwrap has failed it")]

mod asking;

use asking::{TestServer, flow};
use serde_json::{Value, json};

async fn legacy() -> TestServer {
    TestServer::start(&["--legacy"], 1).await
}

/// The reply to a request.
fn reply(run: &Value) -> &Value {
    &run["result"]["result"]["result"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_evaluated_by_its_id_or_as_it_stands() {
    let server = legacy().await;
    let document = json!({"steps": [{"id": "e", "component": "/python/echo", "input": {"$input": "$"}}], "output": {"$step": "e"}});
    let id = server.store(&document.to_string()).await;
    for flow in [json!({"flow_id": id}), json!({"flow": document, "flow_id": null})] {
        let mut params = json!({"input": 7});
        params.as_object_mut().unwrap().extend(flow.as_object().unwrap().clone());
        let run = server.ask("flows/evaluate", params).await;
        assert_eq!(reply(&run)["result"], json!({"outcome": "success", "result": 7}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_fails_is_an_answer_and_no_error() {
    let server = legacy().await;
    let failing = server.store("{name: f, output: {$input: $.missing}}").await;
    let run = server.ask("flows/evaluate", json!({"flow_id": failing, "input": {}})).await;
    assert_eq!(reply(&run)["result"]["outcome"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asked_for_without_a_task_belongs_to_the_only_execute_that_fits() {
    let server = legacy().await;
    let echo = server.store(&flow("/python/echo", "{$input: $}")).await;
    let run = server.ask("runs/submit", json!({"flowId": echo, "inputs": [1], "wait": true, "overrides": null})).await;
    assert_eq!(reply(&run)["status"], "completed");
    assert_eq!(server.show(&reply(&run)["runId"]).await["parentRunId"], run["runId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asked_for_by_one_of_several_executes_belongs_to_their_run() {
    let server = TestServer::start(&["--legacy"], 2).await;
    let hold = flow("/python/hold", "{}");
    let held = server.submit(&hold, json!({})).await;
    server.running(&held).await;
    let echo = server.store(&flow("/python/echo", "{$input: $}")).await;
    let params = json!({"flowId": echo, "inputs": [1], "observability": {"run_id": held}});
    // `held` is the only execute of its run. Without the name of a run it is not known which of the two asks.
    let known = server.ask("runs/submit", params).await;
    assert_eq!(server.show(&reply(&known)["runId"]).await["rootRunId"], held);
    let unknown = server.ask("runs/submit", json!({"flowId": echo, "inputs": [1], "observability": null})).await;
    assert_eq!(server.show(&reply(&unknown)["runId"]).await["rootRunId"], reply(&unknown)["runId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_of_a_flow_and_of_a_step() {
    let server = legacy().await;
    let noted =
        "{metadata: {team: a}, steps: [{id: e, component: /python/echo, metadata: {n: 1}}], output: {$step: e}}";
    let id = server.store(noted).await;
    let of_step = server.ask("flows/get_metadata", json!({"flow_id": id, "step_id": "e"})).await;
    assert_eq!(reply(&of_step), &json!({"flow_metadata": {"team": "a"}, "step_metadata": {"n": 1}}));
    let of_flow = server.ask("flows/get_metadata", json!({"flow_id": id, "step_id": null})).await;
    assert_eq!(reply(&of_flow), &json!({"flow_metadata": {"team": "a"}}));
    assert_eq!(server.error("flows/get_metadata", json!({"flow_id": id, "step_id": "x"})).await["code"], -32011);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_submitted_and_looked_at() {
    let server = legacy().await;
    let echo = server.store(&flow("/python/echo", "{$input: $.q}")).await;
    let inputs = json!([{"q": 1}, {}]);
    let asked =
        server.ask("flows/submit_batch", json!({"flow_id": echo, "inputs": inputs, "max_concurrency": null})).await;
    assert_eq!(reply(&asked)["total_runs"], 2);
    let batch = &reply(&asked)["batch_id"];
    let got = server.ask("flows/get_batch", json!({"batch_id": batch, "wait": true, "include_results": true})).await;
    let (details, outputs) = (&reply(&got)["details"], &reply(&got)["outputs"]);
    assert_eq!(details["total_runs"], 2);
    assert!(details["completed_at"].is_string());
    assert_eq!(outputs.as_array().unwrap().len(), 2);
    let bare = server.ask("flows/get_batch", json!({"batch_id": batch})).await;
    assert_eq!(reply(&bare).get("outputs"), None);
    assert_eq!(server.error("flows/get_batch", json!({"batch_id": "x"})).await["code"], -32012);
}
