//! An error is recorded only when all of its secrets are known, even if only a little is in memory.

use serde_json::json;
use stepflow_engine::event::{AttemptOutcome, CancelAsked, Event, Outcome, StepRef, TaskRef};
use stepflow_engine::machine::{Input, Need};
use stepflow_engine::ports::{Answer, Lost};
use stepflow_protocol::{ErrorKind, FlowError};

use super::flows::Case;
use super::world::Simulation;

const SECRET: &str = "open-sesame";

fn simulation(component: &str) -> Simulation {
    let input = json!({"type": "object", "properties": {"key": {"type": "string", "is_secret": true}}});
    let flow = json!({
        "schemas": {"type": "object", "properties": {"input": input}},
        "steps": [{"id": "a", "component": component, "input": {"$input": "$.key"}}],
        "output": {"$step": "a"}});
    Simulation::submitted(&Case { flow, inputs: vec![json!({"key": SECRET})], choices: vec![0], limit: 1 })
}

fn attempt(simulation: &Simulation) -> TaskRef {
    let step = simulation.machine.state().step(StepRef { run: simulation.root, item: 0, step: 0 }).unwrap();
    TaskRef { task_id: step.task.unwrap(), attempt: step.newest() }
}

fn quoting() -> FlowError {
    FlowError::new(ErrorKind::ComponentFailed, format!("`{SECRET}` opens nothing"))
}

/// The messages of all errors that were recorded.
fn messages(simulation: &Simulation) -> Vec<String> {
    let error = |outcome: &Outcome| match outcome {
        Outcome::Failed(error) => Some(error.message.clone()),
        Outcome::Success(_) => None,
    };
    let errors = simulation.journal().filter_map(|record| match &record.event {
        Event::AttemptEnded(ended) => ended.error.as_ref().map(|error| error.message.clone()),
        Event::StepEnded(ended) => error(&ended.result),
        Event::ItemEnded(ended) => error(&ended.result),
        _ => None,
    });
    errors.collect()
}

#[track_caller]
fn assert_hidden(simulation: &Simulation) {
    let messages = messages(simulation);
    assert!(!messages.is_empty() && !messages.iter().any(|message| message.contains(SECRET)), "{messages:?}");
}

#[test]
fn of_an_answer_that_quotes_a_secret_that_is_not_in_memory() {
    let lost = Lost { error: quoting(), spends: true, back_off: false, suspects: 0 };
    for answer in [Answer::Failed(quoting().into()), Answer::Lost(lost)] {
        let mut simulation = simulation("/t/stuck");
        let task = attempt(&simulation);
        simulation.forget();
        simulation.tell(Input::Answered(task, answer, None));
        assert_hidden(&simulation);
    }
}

#[test]
fn of_an_answer_that_comes_after_the_end_of_its_step() {
    let mut simulation = simulation("/t/stuck");
    let task = attempt(&simulation);
    simulation.tell(Input::CancelAsked(CancelAsked { run: None, by: "a test".into(), reason: None }));
    simulation.forget();
    simulation.tell(Input::Answered(task, Answer::Failed(quoting().into()), None));
    assert_hidden(&simulation);
    assert!(messages(&simulation).iter().any(|message| message.contains("after its step had ended")));
}

#[test]
fn a_cancel_and_other_answers_do_not_wait_for_the_secret_of_an_answer() {
    let flow = |simulation: &Simulation| simulation.machine.state().runs[&simulation.root].flow_id;
    let mut simulation = simulation("/t/stuck");
    let (task, flow) = (attempt(&simulation), flow(&simulation));
    simulation.forget();
    let needs = simulation.tell_once(Input::Answered(task, Answer::Failed(quoting().into()), None)).missing;
    assert!(matches!(needs[..], [Need::Flow(needed)] if needed == flow), "{needs:?}");
    // In order: the attempt was answered first.
    assert!(simulation.tell_once(Input::TimedOut(task, None)).records.is_empty());
    let cancel = Input::CancelAsked(CancelAsked { run: None, by: "a test".into(), reason: None });
    let ended = simulation.tell_once(cancel);
    assert!(matches!(ended.records[0].event, Event::CancelAsked(_)), "{:?}", ended.records[0]);
    assert!(simulation.machine.state().is_ended() && simulation.machine.has_inputs());
    simulation.tell(Input::Continue);
    assert!(!simulation.machine.has_inputs());
    assert_hidden(&simulation);
    let outcomes = simulation.journal().filter_map(|record| match &record.event {
        Event::AttemptEnded(ended) => Some(ended.outcome),
        _ => None,
    });
    assert_eq!(outcomes.collect::<Vec<_>>(), [AttemptOutcome::ComponentError]);
}

#[test]
fn of_a_step_that_nothing_takes() {
    let mut simulation = simulation("/t/picky");
    simulation.finish();
    assert_hidden(&simulation);
}
