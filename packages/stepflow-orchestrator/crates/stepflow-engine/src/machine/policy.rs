//! What follows from a failure under a step's `onError`. It is the same for components and for control flow. And how
//! much is decided at once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stepflow_flow::{Exhausted, OnError, PlannedStep};
use stepflow_protocol::{RunId, Value};

use super::given::Given;
use super::state::RunTree;
use crate::ports::Failure;

/// About how many events one decision makes at most. The rest follows from the next one.
pub(super) const MOST_AT_ONCE: usize = 1_000;

/// How long a step of this run waits before another try, after so many retries under `onError`; `None` if there is
/// none.
pub(super) fn wait_before_retry(
    state: &RunTree,
    run: RunId,
    step: &PlannedStep,
    retries: u32,
    failure: &Failure,
    given: &mut Given<'_>,
) -> Option<Duration> {
    let OnError::Retry(policy) = &step.on_error else { return None };
    let worth = policy.covers(failure.error.kind) && !failure.forbids_retry();
    if retries >= policy.max_retries || !worth {
        return None;
    }
    let random = given.world.random();
    let backoff = given.world.rules().wait(policy.backoff.as_ref(), retries + 1, random);
    let wait = backoff.max(failure.retry_after.unwrap_or_default());
    in_time(state, run, wait, given).then_some(wait)
}

/// Whether the run has time left after this wait. If not, the run would end with its timeout, which would hide why the
/// step was waiting.
pub(super) fn in_time(state: &RunTree, run: RunId, wait: Duration, given: &Given<'_>) -> bool {
    let over_at = after(given.world.now(), wait);
    let mut runs = std::iter::successors(Some(run), |run| state.runs.get(run)?.above);
    runs.all(|run| state.runs.get(&run).and_then(|run| run.deadline_at).is_none_or(|deadline| over_at < deadline))
}

/// The result of a step that is not retried.
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

/// The failure with the place where it happened, and with whether another try is forbidden. Both go with the error to
/// the steps around its flow.
pub(super) fn located(failure: Failure, step: &PlannedStep, attempt: u32) -> Failure {
    let forbids = failure.forbids_retry().then(|| ("retryable", Value::from(false)));
    let place = [
        ("step", Value::string(&step.id)),
        ("component", Value::string(&step.component)),
        ("attempt", Value::from(u64::from(attempt))),
    ];
    Failure { error: failure.error.with(place.into_iter().chain(forbids)), ..failure }
}

/// The wall time after this wait, or the latest that the calendar has.
pub(super) fn after(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
