//! Ends of steps that do not follow from an attempt: with an error, with their default, or with the result of control
//! flow.

use stepflow_flow::Plan;
use stepflow_protocol::{FlowError, Value};

use super::given::Given;
use super::state::RunTree;
use super::surroundings::Missing;
use super::{confidential, policy};
use crate::event::{Event, Outcome, StepEnded, StepRef, ValueRef};

/// A step that has no route, or whose input the component's schema refuses. Its default applies, `retry` does not.
pub(super) fn refused(
    state: &RunTree,
    plan: &Plan,
    at: StepRef,
    input: &ValueRef,
    error: FlowError,
    given: &Given<'_>,
) -> Result<Event, Missing> {
    let step = &plan.steps[at.step as usize];
    if let Some(value) = policy::default_of(step) {
        return Ok(defaulted(at, value));
    }
    let place = [("step", Value::string(&step.id)), ("component", Value::string(&step.component))];
    Ok(step_failed(at, confidential::shown(state, at, Some(input), error, given)?.with(place)))
}

/// A step that ends with `onError`'s default.
pub(super) fn defaulted(step: StepRef, value: &Value) -> Event {
    Event::StepEnded(StepEnded { step, result: Outcome::Success(ValueRef::Inline(value.clone())), defaulted: true })
}

/// A step that ends with an error.
pub(super) fn step_failed(step: StepRef, error: FlowError) -> Event {
    Event::StepEnded(StepEnded { step, result: Outcome::Failed(error), defaulted: false })
}

/// The error, with another error that it would hide.
pub(super) fn with_cause(error: FlowError, cause: &FlowError) -> FlowError {
    match Value::from_serialize(cause) {
        Ok(cause) => error.with([("cause", cause)]),
        // It is nested as deep as a value may be.
        Err(_) => error.with([("cause", Value::string(&cause.message))]),
    }
}

/// A step that ends with this result.
pub(super) fn succeeded(step: StepRef, place: ValueRef) -> Event {
    Event::StepEnded(StepEnded { step, result: Outcome::Success(place), defaulted: false })
}
