//! What follows from the end of an attempt: the step's end, or another attempt.

use std::sync::Arc;
use std::time::Duration;

use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::given::Given;
use super::state::RunTree;
use super::step::{AttemptState, Phase, Step};
use super::step_end::{defaulted, step_failed};
use super::surroundings::{Missing, plan_of};
use super::{confidential, policy};
use crate::event::{
    AttemptEnded, AttemptOutcome, Budget, Event, Instance, Outcome, RetryScheduled, StepEnded, StepRef, TaskRef,
    ValueRef,
};
use crate::ports::{Answer, Failure, Lost};

/// How many attempts of a step may be lost without using up a retry, if each asks for a new sub-run. Attempts that find
/// existing sub-runs are not counted, because those sub-runs end at some time. A new sub-run may be the reason for the
/// loss.
const MOST_LOST_AFRESH: u32 = 20;

/// The events with the worker that had the attempt.
pub(super) fn by(instance: Option<Arc<Instance>>, mut events: Vec<Event>) -> Vec<Event> {
    if let Some(Event::AttemptEnded(ended)) = events.first_mut() {
        ended.instance = instance;
    }
    events
}

/// The events with the number of attempts that shared the crash, if this one is suspected. It does not matter which
/// budget pays.
fn suspected(suspects: u32, mut events: Vec<Event>) -> Vec<Event> {
    if let Some(Event::AttemptEnded(ended)) = events.first_mut() {
        ended.suspects = suspects;
    }
    events
}

/// A host's answer.
///
/// # Errors
/// [`Missing`] when a failure may quote a secret that is not in memory.
pub(super) fn answered(
    state: &RunTree,
    task: TaskRef,
    answer: Answer,
    given: &mut Given<'_>,
) -> Result<Vec<Event>, Missing> {
    let Some((at, step, attempt)) = find(state, task) else { return Ok(Vec::new()) };
    let open = matches!(attempt, AttemptState::Open(_));
    let shown = |error: FlowError, given: &Given<'_>| {
        // It is not known any more which secrets to hide in the text.
        if step.phase == Phase::Ended {
            return Ok(FlowError::new(error.kind, "the attempt failed after its step had ended"));
        }
        confidential::shown(state, at, step.input.as_ref(), error, given)
    };
    Ok(match answer {
        Answer::Success(value) if step.phase != Phase::Ended && may_succeed(attempt) => {
            let row = ValueRef::Row(state.seq + 1);
            let ended = ended(task, AttemptOutcome::Success, Budget::None).with_payload(value);
            let result = Outcome::Success(row);
            vec![ended.into(), Event::StepEnded(StepEnded { step: at, result, defaulted: false })]
        }
        // Attempts that were lost, timed out or displaced have been dealt with at that time.
        _ if !open => Vec::new(),
        Answer::Success(value) => {
            vec![ended(task, AttemptOutcome::Success, Budget::None).with_payload(value).into()]
        }
        Answer::Failed(failure) => {
            let failure = Failure { error: shown(failure.error, given)?, ..failure };
            failed(state, at, step, task, AttemptOutcome::ComponentError, failure, given)?
        }
        Answer::Lost(lost) => {
            let lost = Lost { error: shown(lost.error, given)?, ..lost };
            let suspects = lost.suspects;
            suspected(suspects, lost_with_worker(state, at, step, task, lost, given)?)
        }
        Answer::Cancelled => {
            let error = FlowError::new(ErrorKind::Cancelled, "the attempt was cancelled");
            failed(state, at, step, task, AttemptOutcome::Cancelled, error.into(), given)?
        }
    })
}

/// An attempt that took longer than allowed.
///
/// # Errors
/// [`Missing`] when the flow is not in memory.
pub(super) fn timed_out(state: &RunTree, task: TaskRef, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    let Some((at, step, AttemptState::Open(_))) = find(state, task) else { return Ok(Vec::new()) };
    let plan = plan_of(given.world, state, at.run)?;
    let allowed = plan.steps.get(at.step as usize).and_then(|step| step.timeout);
    let limit = allowed.map_or_else(String::new, |limit| format!(" of {limit:?}"));
    let error = FlowError::new(ErrorKind::Timeout, format!("the attempt took longer than its timeout{limit}"));
    failed(state, at, step, task, AttemptOutcome::Timeout, error.into(), given)
}

fn find(state: &RunTree, task: TaskRef) -> Option<(StepRef, &Step, AttemptState)> {
    let at = *state.tasks.get(&task.task_id)?;
    let step = state.step(at)?;
    Some((at, step, step.attempt(task.attempt)?.state))
}

/// The first success of any attempt that was neither cancelled nor timed out ends its step.
fn may_succeed(attempt: AttemptState) -> bool {
    match attempt {
        AttemptState::Open(_) | AttemptState::Displaced | AttemptState::Ended(AttemptOutcome::Lost) => true,
        AttemptState::Ended(_) => false,
    }
}

/// A loss uses the transport's budget first, and then the flow's.
fn lost_with_worker(
    state: &RunTree,
    at: StepRef,
    step: &Step,
    task: TaskRef,
    lost: Lost,
    given: &mut Given<'_>,
) -> Result<Vec<Event>, Missing> {
    let wait = if lost.back_off {
        let retry = step.transport_retries + 1;
        let random = given.world.random();
        given.world.rules().wait(None, retry, random)
    } else {
        Duration::ZERO
    };
    let spends = lost.spends || step.lost_afresh >= MOST_LOST_AFRESH;
    let paid = !spends || step.transport_retries < given.world.rules().transport_max_retries;
    let wanted = is_wanted(state, at, step, task);
    if !paid || !wanted || !policy::in_time(state, at.run, wait, given) {
        return failed(state, at, step, task, AttemptOutcome::Lost, lost.error.into(), given);
    }
    let budget = if spends { Budget::Transport } else { Budget::None };
    let ended = ended(task, AttemptOutcome::Lost, budget);
    Ok(vec![ended.with_error(lost.error).into(), retry(task, wait, budget, given)])
}

/// A failed attempt: another one if `onError` allows it, otherwise the end of the step.
fn failed(
    state: &RunTree,
    at: StepRef,
    step: &Step,
    task: TaskRef,
    outcome: AttemptOutcome,
    failure: Failure,
    given: &mut Given<'_>,
) -> Result<Vec<Event>, Missing> {
    if step.phase == Phase::Ended {
        return Ok(vec![ended(task, outcome, Budget::None).with_error(failure.error).into()]);
    }
    let plan = plan_of(given.world, state, at.run)?;
    let planned = &plan.steps[at.step as usize];
    let failure = policy::located(failure, planned, task.attempt);
    let error = failure.error.clone();
    if !is_wanted(state, at, step, task) {
        return Ok(vec![ended(task, outcome, Budget::None).with_error(error).into()]);
    }
    if let Some(wait) = policy::wait_before_retry(state, at.run, planned, step.component_retries, &failure, given) {
        let ended = ended(task, outcome, Budget::Component).with_error(error);
        return Ok(vec![ended.into(), retry(task, wait, Budget::Component, given)]);
    }
    let end = policy::default_of(planned).map_or_else(|| step_failed(at, error.clone()), |value| defaulted(at, value));
    Ok(vec![ended(task, outcome, Budget::None).with_error(error).into(), end])
}

/// Whether another attempt may follow this one.
fn is_wanted(state: &RunTree, at: StepRef, step: &Step, task: TaskRef) -> bool {
    step.phase != Phase::Ended && task.attempt == step.newest() && state.ending(at.run).is_none()
}

fn retry(task: TaskRef, wait: Duration, budget: Budget, given: &Given<'_>) -> Event {
    let due_at = policy::after(given.world.now(), wait);
    Event::RetryScheduled(RetryScheduled { task, due_at, budget })
}

fn ended(task: TaskRef, outcome: AttemptOutcome, spends: Budget) -> AttemptEnded {
    AttemptEnded { task, outcome, payload: None, error: None, spends, instance: None, suspects: 0 }
}

impl AttemptEnded {
    fn with_payload(self, value: Value) -> Self {
        Self { payload: Some(ValueRef::Inline(value)), ..self }
    }

    fn with_error(self, error: FlowError) -> Self {
        Self { error: Some(error), ..self }
    }
}

impl From<AttemptEnded> for Event {
    fn from(ended: AttemptEnded) -> Self {
        Self::AttemptEnded(ended)
    }
}
