//! Steps that are control flow: `map`, `iterate`, `eval` and `sleep`.

use std::sync::Arc;

use stepflow_engine::Submission;
use stepflow_protocol::{ErrorKind, ExecutionStatus, FlowResult, RunId, Value};

use super::bench::{Bench, bench, submission, success};

/// Runs a flow of one item without input; its result.
async fn result_of(bench: &Bench, flow: &str) -> FlowResult {
    let run = bench.run(submission(flow, &["{}"])).await;
    bench.results(run).remove(0)
}

#[tokio::test]
async fn map_runs_a_flow_for_each_item_even_when_one_attempt_at_a_time_is_allowed() {
    let bench = bench();
    let flow = "{name: m, steps: [{id: a, component: /map, input: {items: [1, 2], workflow: {$literal: \
        {name: s, steps: [{id: e, component: /echo, input: {$input: $}}], output: [{$step: e}]}}}}], output: {$step: a}}";
    let submission = Submission { max_concurrency: Some(1), ..submission(flow, &["{}"]) };
    let run = bench.run(submission).await;
    let expected = r#"{"results":[{"outcome":"success","result":[1]},{"outcome":"success","result":[2]}],"successful":2,"failed":0}"#;
    assert_eq!(bench.results(run), [success(expected)]);
}

#[tokio::test]
async fn map_collects_failures_or_fails_with_the_first() {
    let bench = bench();
    let flow = |choice: &str| {
        format!(
            "{{name: m, steps: [{{id: a, component: /map, input: {{items: [{{q: 1}}, {{}}], on_item_error: {choice}, \
             workflow: {{$literal: {{name: s, output: {{$input: $.q}}}}}}}}}}], output: {{$step: a, path: $.failed}}}}"
        )
    };
    assert_eq!(result_of(&bench, &flow("collect")).await, success("1"));
    let FlowResult::Failed(error) = result_of(&bench, &flow("fail")).await else { panic!("it succeeded") };
    assert_eq!(error.kind, ErrorKind::ExpressionFailure);
}

#[tokio::test]
async fn iterate_goes_on_while_its_flow_says_so_and_no_longer_than_allowed() {
    let bench = bench();
    let flow = |most: u32, output: &str| {
        format!(
            "{{name: i, steps: [{{id: a, component: /iterate, input: {{initial_input: 7, max_iterations: {most}, \
             flow: {{$literal: {{name: s, output: {output}}}}}}}}}], output: {{$step: a}}}}"
        )
    };
    let done = result_of(&bench, &flow(5, "{result: {$input: $}}")).await;
    assert_eq!(done, success(r#"{"result":7,"iterations":1,"terminated":false}"#));
    let stopped = result_of(&bench, &flow(3, "{next: {$input: $}}")).await;
    assert_eq!(stopped, success(r#"{"result":7,"iterations":3,"terminated":true}"#));
    let none = result_of(&bench, &flow(0, "{next: 1}")).await;
    assert_eq!(none, success(r#"{"result":7,"iterations":0,"terminated":true}"#));
    let FlowResult::Failed(error) = result_of(&bench, &flow(3, "{neither: 1}")).await else { panic!("it succeeded") };
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn eval_runs_a_stored_flow_and_says_so_when_there_is_none() {
    let bench = bench();
    let stored = submission("{name: s, output: {got: {$input: $}}}", &[]).plan;
    bench.store.put_flow(Arc::clone(&stored));
    let flow = |id: &str| {
        format!(
            "{{name: e, steps: [{{id: a, component: /eval, input: {{flow_id: \"{id}\", input: 3}}}}], output: {{$step: a, path: $.result}}}}"
        )
    };
    let result = result_of(&bench, &flow(&stored.flow_id.to_string())).await;
    assert_eq!(result, success(r#"{"outcome":"success","result":{"got":3}}"#));
    let FlowResult::Failed(error) = result_of(&bench, &flow(&"0".repeat(64))).await else { panic!("it succeeded") };
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_flow_that_calls_itself_for_ever_is_stopped() {
    let bench = bench();
    // The flow cannot contain its own id, so the input has it.
    let flow = "{name: r, steps: [{id: a, component: /eval, input: {flow_id: {$input: $.id}, input: {$input: $}}}], \
        output: {$step: a, path: $.result}}";
    let recursive = submission(flow, &[]);
    let input = Value::object([("id", Value::string(&recursive.plan.flow_id.to_string()))]);
    let run = bench.run(Submission { inputs: vec![input], ..recursive }).await;
    let text = serde_json::to_string(&bench.results(run)[0]).unwrap();
    assert!(text.contains("nested more than 64 deep"), "{text}");
}

#[tokio::test]
async fn a_sub_run_inherits_variables_and_ends_with_its_cancelled_root() {
    let bench = bench();
    let flow = "{name: v, steps: [{id: a, component: /map, input: {items: [0], workflow: {$literal: \
        {name: s, output: {$variable: x}}}}}], output: {$step: a, path: \"$.results[0].result\"}}";
    let variables = Some(Value::parse("{\"x\":\"there\"}").unwrap());
    let run = bench.run(Submission { variables, ..submission(flow, &["{}"]) }).await;
    assert_eq!(bench.results(run), [success("\"there\"")]);

    let flow = "{name: v, steps: [{id: a, component: /map, input: {items: [0], workflow: {$literal: \
        {name: s, steps: [{id: h, component: /hold}], output: {$step: h}}}}}], output: {$step: a}}";
    let run = bench.engine.submit(submission(flow, &["{}"])).await.unwrap();
    bench.engine.cancel(run, "a test", None).await.unwrap();
    assert_eq!(bench.ended(run).await, ExecutionStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn sleep_waits_and_returns_its_input() {
    let bench = bench();
    let flow = "{name: z, steps: [{id: a, component: /sleep, input: {duration_ms: 60000, passthrough: [1]}}], \
        output: {$step: a, path: $.passthrough}}";
    let begun = tokio::time::Instant::now();
    assert_eq!(result_of(&bench, flow).await, success("[1]"));
    assert!(begun.elapsed() >= std::time::Duration::from_secs(60));
}

#[tokio::test]
async fn a_step_that_runs_a_flow_for_too_long_fails_and_its_attempts_are_cancelled() {
    let bench = bench();
    let hold = "{steps: [{id: h, component: /hold}], output: {$step: h}}";
    let inside = format!(
        "{{steps: [{{id: m, component: /map, input: {{workflow: {{$literal: {hold}}}, items: [1, 2]}}}}], output: {{$step: m}}}}"
    );
    let flow = format!(
        "{{steps: [{{id: m, component: /map, timeout: 20ms, input: {{workflow: {{$literal: {inside}}}, items: [1]}}}}], output: {{$step: m}}}}"
    );
    let FlowResult::Failed(error) = result_of(&bench, &flow).await else { panic!("it cannot succeed") };
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert_eq!(error.data.unwrap().as_str(), r#"{"step":"m","component":"/map","attempt":1}"#);
    assert_eq!(bench.host.cancelled.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_step_that_runs_a_flow_is_tried_again_with_a_sub_run_of_its_own() {
    let bench = bench();
    let hold = "{steps: [{id: h, component: /hold}], output: {$step: h}}";
    let flow = format!(
        "{{steps: [{{id: m, component: /map, timeout: 20ms, onError: {{action: retry, maxRetries: 1, exhausted: {{action: useDefault, defaultValue: gone}}}}, input: {{workflow: {{$literal: {hold}}}, items: [1]}}}}], output: {{$step: m}}}}"
    );
    assert_eq!(result_of(&bench, &flow).await, success(r#""gone""#));
    let tasks = bench.host.offered.lock().unwrap();
    let runs: std::collections::HashSet<RunId> = tasks.iter().map(|task| task.run_id).collect();
    assert_eq!((tasks.len(), runs.len()), (2, 2));
}
