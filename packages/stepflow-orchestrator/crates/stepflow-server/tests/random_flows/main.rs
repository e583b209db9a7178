//! Runs random flows from their text to their result, and compares the results with those of an independent model. The mock
//! plugin answers only the calls that the model expects.
#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap has failed it")]

mod documents;
mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use stepflow_engine::Submission;
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{FlowResult, StepStatus, Value};
use stepflow_server::config;
use stepflow_server::service::Service;
use stepflow_server::store::Store;

use documents::{Case, case};
use model::{Ended, Outcome};

/// How long a run may take, also on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_random_flow_does_what_the_model_says(case in case()) {
        let expected = model::items(&case);
        let observed = RUNTIME.block_on(run(&case, &config_of(&expected)));
        let expected: Vec<_> = expected.into_iter().map(|item| (item.outcome, item.steps)).collect();
        prop_assert_eq!(observed, expected, "{}", case.text());
    }
}

/// A mock for each component, with the inputs that the model has given it.
fn config_of(items: &[model::Item]) -> String {
    let mut components: BTreeMap<String, BTreeMap<String, Json>> = BTreeMap::new();
    for (component, input) in items.iter().flat_map(|item| &item.calls) {
        let answer = match model::answer(component, input) {
            Outcome::Success(value) => json!({"outcome": "success", "result": value}),
            Outcome::Failed(kind, message) => {
                json!({"outcome": "failed", "error": {"kind": kind, "message": message}})
            }
        };
        components.entry(component.replacen("/m", "", 1)).or_default().insert(input.to_string(), answer);
    }
    let mocks: BTreeMap<_, _> =
        components.into_iter().map(|(path, behaviors)| (path, json!({"behaviors": behaviors}))).collect();
    json!({
        "plugins": {"m": {"type": "mock", "components": mocks}, "builtin": {"type": "builtin"}},
        "routes": {"/m/{*component}": [{"plugin": "m"}], "/builtin/{*component}": [{"plugin": "builtin"}]},
    })
    .to_string()
}

/// The result of each item, and of the steps that were used.
async fn run(case: &Case, config: &str) -> Vec<(Outcome, BTreeMap<String, Ended>)> {
    let config = config::read(Source::json("config.json", config), PathBuf::from("/")).unwrap();
    let service = Service::new(&config, Store::default(), Duration::ZERO).unwrap();
    let source =
        if case.yaml { Source::yaml("flow.yaml", case.text()) } else { Source::json("flow.json", case.text()) };
    let loaded = load(source);
    let flow = loaded.flow.unwrap_or_else(|| panic!("{}\n{}", loaded.diagnostics, case.text()));
    let submission = Submission {
        plan: Arc::new(Plan::compile(flow).unwrap()),
        inputs: case.inputs.iter().map(Value::from_json).collect(),
        variables: Some(Value::from_json(&case.variables)),
        overrides: None,
        max_concurrency: Some(case.limit),
        idempotency_key: None,
    };
    let run = service.engine.submit(submission).await.unwrap();
    service.wait_for(run, TIMEOUT).await;
    let outcome = |result| match result {
        FlowResult::Success(value) => Outcome::Success(Value::to_json(&value).unwrap()),
        FlowResult::Failed(error) => Outcome::Failed(error.kind.name().to_owned(), error.message),
    };
    let ended = |row: stepflow_engine::ports::StepRow| {
        let failed = row.error().map(|error| error.kind.name().to_owned());
        assert_ne!(row.status == StepStatus::Completed, failed.is_some());
        (row.step_id, Ended { attempts: row.attempts, failed })
    };
    let mut items = Vec::new();
    for item in service.store.items(run).all().await.unwrap() {
        let steps = service.store.queries.steps(run, item.item).await.unwrap().into_iter().map(ended).collect();
        let result = item.result.unwrap_or_else(|| panic!("it has not ended: {}", case.text()));
        items.push((outcome(result), steps));
    }
    service.shutdown().await;
    items
}

#[test]
fn the_model_is_asked_about_all_that_a_flow_may_say() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..300 {
        let case = case().new_tree(&mut runner).unwrap().current();
        for word in ["$if", "$coalesce", "$step", "$variable", "$literal", "mustExecute", "useDefault", "retry", "map"]
        {
            seen.extend(case.text().contains(word).then_some(word));
        }
        for item in model::items(&case) {
            seen.insert(if matches!(item.outcome, Outcome::Success(_)) { "success" } else { "failure" });
            seen.extend(item.steps.values().any(|step| step.attempts > 1).then_some("second attempt"));
            seen.extend(item.steps.values().any(|step| step.attempts == 0).then_some("no attempt"));
            let steps = case.flow["steps"].as_array().unwrap().len();
            seen.extend((item.steps.len() < steps).then_some("a step that is not needed"));
        }
    }
    assert_eq!(seen.len(), 14, "{seen:?}");
}
