//! No error in a journal shows a secret, no matter when the error comes and who sends it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use stepflow_engine::event::{Control, Event, Outcome, Route, TaskRef};
use stepflow_engine::ports::{Address, Answer, ComponentHost, Inbox, Lost, Purity, SystemClock, Target, TaskEnvelope};
use stepflow_engine::{Engine, Notice, Options, Ports, Submission, inbox};
use stepflow_flow::{Backoff, Plan, Source, load};
use stepflow_protocol::{ErrorKind, FlowError, Value};
use stepflow_store::MemoryStore;

/// Quotes its input in all messages. `/late` sends nothing before it is cancelled.
struct Talkative {
    inbox: Arc<dyn Inbox>,
    held: Mutex<HashMap<TaskRef, Value>>,
}

fn quoting(input: &Value) -> FlowError {
    let data = Value::object([("tail", input.clone()), (input.as_str(), Value::null())]);
    FlowError::new(ErrorKind::ComponentFailed, format!("no {}", input.as_str())).with([("data", data)])
}

impl ComponentHost for Talkative {
    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError> {
        match path {
            "/refused" => Err(quoting(input)),
            "/map" => Ok(Target::SubFlow(Control::Map)),
            _ => {
                let route = Route { plugin: "test".into(), component: path.into() };
                Ok(Target::Component { route, purity: Purity::External })
            }
        }
    }

    fn offer(&self, task: TaskEnvelope) {
        self.inbox.started(task.address(), None);
        let error = quoting(&task.input);
        let answer = match task.route.component.as_str() {
            "/late" => return drop(self.held.lock().unwrap().insert(task.task, task.input)),
            "/lost" => Answer::Lost(Lost { error, spends: true, back_off: false, suspects: 0 }),
            _ => Answer::Failed(error.into()),
        };
        self.inbox.answer(task.address(), answer);
    }

    fn cancel(&self, _: &Route, task: Address, _: &str) {
        let input = self.held.lock().unwrap().remove(&task.task).unwrap();
        self.inbox.answer(task, Answer::Failed(quoting(&input).into()));
    }
}

const SCHEMAS: &str = "schemas: {properties: {
  input: {properties: {pin: {is_secret: true}}},
  variables: {properties: {
    token: {is_secret: true}, spare: {is_secret: true, default: hunter2-spare}, absent: {is_secret: true}}}}}\n";

/// Each error in the journal of a run, as JSON. If requested, the run is cancelled when its first attempt has begun.
async fn errors_of(steps: &str, cancels: bool) -> Vec<String> {
    let (inbox, mailbox) = inbox(1);
    let host = Arc::new(Talkative { inbox, held: Mutex::default() });
    let store = MemoryStore::new(stepflow_store::Options::default());
    let ports = Ports { journal: store.clone(), host: host.clone(), clock: Arc::new(SystemClock::default()) };
    let backoff = Backoff::Constant { delay: std::time::Duration::ZERO };
    let engine = Engine::start(Options { backoff, ..Options::default() }, ports, mailbox);
    let loaded = load(Source::yaml("flow.yaml", format!("{SCHEMAS}steps:\n{steps}\noutput: {{$step: a}}")));
    let submission = Submission {
        plan: Arc::new(Plan::compile(loaded.flow.expect("a valid flow")).unwrap()),
        inputs: vec![Value::parse(r#"{"pin":"hunter2-pin"}"#).unwrap()],
        variables: Some(Value::parse(r#"{"token":"hunter2-token"}"#).unwrap()),
        overrides: None,
        max_concurrency: None,
        idempotency_key: None,
    };
    let run = engine.submit(submission).await.unwrap();
    let mut news = engine.subscribe(run, 0);
    while let Some(notice) = news.next().await.unwrap() {
        if cancels && matches!(notice, Notice::Started { .. }) {
            engine.cancel(run, "a test", None).await.unwrap();
        }
    }
    // An attempt may end after its run.
    loop {
        let journal = store.journal(run).unwrap();
        let count = |is: fn(&Event) -> bool| journal.iter().filter(|record| is(&record.event)).count();
        if count(|event| matches!(event, Event::StepScheduled(_)))
            == count(|event| matches!(event, Event::AttemptEnded(_)))
        {
            return journal.iter().filter_map(|record| error_in(&record.event)).collect();
        }
        tokio::task::yield_now().await;
    }
}

fn error_in(event: &Event) -> Option<String> {
    let error = match event {
        Event::AttemptEnded(ended) => ended.error.as_ref()?,
        Event::StepRetryScheduled(retry) => &retry.error,
        Event::StepEnded(ended) => failed(&ended.result)?,
        Event::ItemEnded(ended) => failed(&ended.result)?,
        _ => return None,
    };
    Some(serde_json::to_string(error).unwrap())
}

fn failed(outcome: &Outcome) -> Option<&FlowError> {
    match outcome {
        Outcome::Failed(error) => Some(error),
        Outcome::Success(_) => None,
    }
}

fn assert_no_secret(errors: &[String], at_least: usize, flow: &str) {
    assert!(errors.len() >= at_least, "{flow} has only {errors:?}");
    for error in errors {
        assert!(!error.contains("hunter2"), "{flow} tells {error}");
    }
}

fn assert_quotes_nothing(errors: &[String], at_least: usize, flow: &str) {
    assert_no_secret(errors, at_least, flow);
    assert!(errors.iter().any(|error| error.contains("[REDACTED]")), "{flow}: nothing was quoted, {errors:?}");
}

#[tokio::test]
async fn what_comes_after_a_cancel_is_recorded_without_secrets() {
    for input in ["{$input: $}", "{$input: $.pin}", "{t: {$variable: token}}", "{t: {$variable: spare}}"] {
        let step = format!("- {{id: a, component: /late, input: {input}}}");
        assert_no_secret(&errors_of(&step, true).await, 3, &step);
    }
}

#[tokio::test]
async fn what_comes_after_a_timeout_is_recorded_without_secrets() {
    let step = "- {id: a, component: /late, input: {$input: $}}\ntimeout: 1ms";
    assert_no_secret(&errors_of(step, false).await, 3, step);
}

#[tokio::test]
async fn failures_losses_refusals_retries_and_defaults_are_recorded_without_secrets() {
    let steps = [
        "- {id: a, component: /fails, input: {$input: $}}",
        "- {id: a, component: /fails, input: [{$variable: token}, {$variable: spare}]}",
        "- {id: a, component: /fails, onError: {action: retry, maxRetries: 2}, input: {$input: $}}",
        "- {id: a, component: /fails, onError: {action: useDefault, defaultValue: 1}, input: {$input: $}}",
        "- {id: a, component: /lost, input: {$input: $.pin}}",
        "- {id: a, component: /refused, input: {$input: $.pin}}",
        // Only the step's input contains the secret.
        "- {id: a, component: /fails, input: {t: {$variable: absent, default: hunter2-inline}}}",
        // The secret is in the item's input, and is not marked in the step's.
        "- {id: a, component: /fails, input: {$literal: no hunter2-pin hunter2-token}}",
        "- {id: a, component: /map, onError: {action: retry, maxRetries: 1}, input: {on_item_error: fail, \
         items: [{$input: $}], workflow: {$literal: {steps: [{id: b, component: /fails, input: {$input: $}}], \
         output: {$step: b}}}}}",
    ];
    for step in steps {
        assert_quotes_nothing(&errors_of(step, false).await, 1, step);
    }
}
