//! What a step's `onError` makes of a failure. The same for components and for control flow.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stepflow_flow::{Exhausted, OnError, PlannedStep};
use stepflow_protocol::{FlowError, Value};

use super::given::Given;
use crate::ports::Failure;

/// How long to wait before another try, after so many retries that `onError` has paid; `None` when there is none.
pub(super) fn wait_before_retry(
    step: &PlannedStep,
    retries: u32,
    failure: &Failure,
    given: &mut Given<'_>,
) -> Option<Duration> {
    let OnError::Retry(policy) = &step.on_error else { return None };
    let worth = policy.covers(failure.error.kind) && failure.retryable != Some(false);
    if retries >= policy.max_retries || !worth {
        return None;
    }
    let random = given.world.random();
    let backoff = given.world.rules().wait(policy.backoff.as_ref(), retries + 1, random);
    Some(backoff.max(failure.retry_after.unwrap_or_default()))
}

/// What the step ends with when it is not tried again.
pub(super) fn default_of(step: &PlannedStep) -> Option<&Value> {
    match &step.on_error {
        OnError::UseDefault(value) => Some(value),
        OnError::Retry(policy) => match &policy.exhausted {
            Exhausted::UseDefault(value) => Some(value),
            Exhausted::Fail => None,
        },
        OnError::Fail => None,
    }
}

/// The error with the place where it happened.
pub(super) fn located(error: FlowError, step: &PlannedStep, attempt: u32) -> FlowError {
    error.with([
        ("step", Value::string(&step.id)),
        ("component", Value::string(&step.component)),
        ("attempt", Value::from(u64::from(attempt))),
    ])
}

/// The wall time after this wait, as far as the calendar goes.
pub(super) fn after(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
