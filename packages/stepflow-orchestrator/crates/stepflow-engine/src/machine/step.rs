//! A step of an item, and its attempts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use stepflow_protocol::{FlowError, RunId, TaskId};

use super::effect::OwedKey;
use crate::event::{AttemptOutcome, Outcome, Reason, Route, ValueRef};

/// A step of an item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// The task id of the step's attempts, from the first one on.
    pub task: Option<TaskId>,
    /// The attempts, in order, until the step has ended and none is open.
    pub attempts: Vec<Attempt>,
    /// The input of its attempts.
    pub input: Option<ValueRef>,
    /// The phase of the step.
    pub phase: Phase,
    /// How many retries the transport's budget has paid for.
    pub transport_retries: u32,
    /// How many retries `onError` has paid for.
    pub component_retries: u32,
    /// How many owners in a row were lost while it was open.
    pub owners_lost: u32,
    /// If its last attempt is suspected of a crash: how many attempts shared the crash. Otherwise 0.
    pub suspects: u32,
    /// Why its last attempt, or its last sub-run, failed, while another one follows.
    pub failure: Option<FlowError>,
    /// Its last attempt that asked for a new sub-run.
    pub asked_in: u32,
    /// How many of its attempts asked for a new sub-run and were lost without using up a retry.
    pub lost_afresh: u32,
    /// How many sub-runs it has begun; for control flow, in its newest try.
    pub sub_runs: u32,
    /// Whether the time that it waits for is its timeout.
    pub times_out: bool,
    /// Its sub-runs that are still in memory.
    pub runs: BTreeSet<RunId>,
    /// The end, when there is one.
    pub result: Option<Outcome>,
}

/// The phase of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Phase {
    /// Never scheduled.
    #[default]
    Idle,
    /// Its newest attempt is open.
    Open,
    /// Another attempt follows, not before a given time.
    Retrying {
        /// The time.
        due_at: Timestamp,
        /// Why.
        reason: Reason,
        /// The wake-up.
        owed: Option<OwedKey>,
    },
    /// It waits for the end of a sub-run.
    Nested(RunId),
    /// It waits for a time.
    Sleeping {
        /// The wake-up.
        owed: OwedKey,
    },
    /// It has ended.
    Ended,
}

/// One try of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Where it went.
    pub route: Route,
    /// Its state.
    pub state: AttemptState,
}

/// The state of an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttemptState {
    /// Offered, or to be offered. This is the key of its offer or its cancellation among the effects.
    Open(OwedKey),
    /// Open when the owner changed: its answer may still come, but is not needed.
    Displaced,
    /// Ended.
    Ended(AttemptOutcome),
}

impl Step {
    /// The newest attempt's number, 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// The attempt of this number.
    #[must_use]
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.get((number as usize).checked_sub(1)?)
    }

    /// Whether this attempt and all others before the newest one were lost.
    pub(super) fn is_unheard(&self, since: u32) -> bool {
        let lost = |attempt: &Attempt| {
            matches!(attempt.state, AttemptState::Displaced | AttemptState::Ended(AttemptOutcome::Lost))
        };
        since < self.newest() && (since..self.newest()).all(|number| self.attempt(number).is_some_and(lost))
    }

    /// Whether an attempt is open.
    #[must_use]
    pub fn is_attempted(&self) -> bool {
        self.attempts.iter().any(|attempt| matches!(attempt.state, AttemptState::Open(_)))
    }
}
