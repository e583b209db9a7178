//! Whole runs: their items, their ends and what is refused.

use std::sync::Arc;

use stepflow_engine::{CancelError, Error};
use stepflow_protocol::{ExecutionStatus, Value};

use super::bench::{ECHO, bench, submission, success};

#[tokio::test]
async fn a_batch_gives_its_results_by_item() {
    let bench = bench();
    let run = bench.run(submission(ECHO, &["1", "{\"b\":9007199254740993,\"a\":1.0}", "null"])).await;
    let texts: Vec<String> = bench.results(run).iter().map(|result| serde_json::to_string(result).unwrap()).collect();
    assert_eq!(
        texts,
        [
            r#"{"outcome":"success","result":1}"#,
            r#"{"outcome":"success","result":{"b":9007199254740993,"a":1.0}}"#,
            r#"{"outcome":"success","result":null}"#,
        ]
    );
}

#[tokio::test]
async fn a_run_without_items_is_completed_at_once() {
    let bench = bench();
    let run = bench.run(submission(ECHO, &[])).await;
    assert_eq!(bench.store.run(run).unwrap().status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn a_flow_with_a_timeout_fails_when_its_time_is_up() {
    let bench = bench();
    let flow = "{name: t, timeout: 1ms, steps: [{id: a, component: /hold}], output: {$step: a}}";
    let run = bench.run(submission(flow, &["{}"])).await;
    assert_eq!(bench.store.run(run).unwrap().status, ExecutionStatus::Failed);
}

#[tokio::test]
async fn a_cancelled_run_stays_cancelled() {
    let bench = bench();
    let flow = "{name: c, steps: [{id: a, component: /hold}], output: {$step: a}}";
    let run = bench.engine.submit(submission(flow, &["{}", "{}"])).await.unwrap();
    bench.engine.cancel(run, "a test", None).await.unwrap();
    assert_eq!(bench.ended(run).await, ExecutionStatus::Cancelled);
    assert_eq!(bench.store.run(run).unwrap().items.cancelled, 2);
    assert_eq!(bench.engine.cancel(run, "a test", None).await, Err(CancelError::NotRunning));
}

#[tokio::test]
async fn an_input_that_does_not_fit_creates_nothing() {
    let bench = bench();
    let flow = "{name: i, schemas: {type: object, properties: {input: {type: object, required: [q]}}}, output: 1}";
    let Err(Error::InvalidInput(misfits)) = bench.engine.submit(submission(flow, &["{\"q\":1}", "{}"])).await else {
        panic!("it was accepted");
    };
    assert_eq!(misfits.iter().map(|misfit| misfit.item).collect::<Vec<_>>(), [Some(1)]);
}

#[tokio::test]
async fn overrides_change_their_own_run_and_not_the_flow_that_it_calls_by_its_id() {
    let bench = bench();
    let flow = "{steps: [{id: a, component: /eval, input: {flow_id: {$input: $.id}, input: {id: none}}, onError: {action: useDefault}}, {id: b, component: /echo, input: as written}], output: [{$step: b}, {$step: a, path: $.result.result}]}";
    let mut submission = submission(flow, &["null"]);
    submission.inputs = vec![Value::object([("id", Value::string(&submission.plan.flow_id.to_string()))])];
    let overrides = Value::parse(r#"{"steps":{"b":{"value":{"input":"changed"}}}}"#).unwrap();
    submission.plan = Arc::new(submission.plan.with_overrides(&overrides).unwrap());
    submission.overrides = Some(overrides);
    let run = bench.run(submission).await;
    assert_eq!(bench.results(run), [success(r#"["changed",["as written",null]]"#)]);
}
