//! A step of an item, and its attempts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use stepflow_protocol::{FlowError, RunId, TaskId};

use super::effect::OwedKey;
use crate::event::{AttemptOutcome, Outcome, Reason, Route, ValueRef};

/// A step of an item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Names the step's attempts, from its first one on.
    pub task: Option<TaskId>,
    /// The attempts, in order, until the step has ended and none is open.
    pub attempts: Vec<Attempt>,
    /// The input of its attempts.
    pub input: Option<ValueRef>,
    /// Where it stands.
    pub phase: Phase,
    /// How many retries the transport's budget has paid.
    pub transport_retries: u32,
    /// How many retries `onError` has paid.
    pub component_retries: u32,
    /// How many owners in a row were lost while it was open.
    pub owners_lost: u32,
    /// How many attempts shared the crash that its last attempt is suspected of; 0: it is not.
    pub suspects: u32,
    /// Why its last attempt, or its last sub-run, failed, for as long as another one follows.
    pub failure: Option<FlowError>,
    /// Its last attempt that asked for a new sub-run.
    pub asked_in: u32,
    /// How many of its attempts asked for a new sub-run, were lost, and spent nothing.
    pub lost_afresh: u32,
    /// How many sub-runs it has begun; of control flow, in its newest try.
    pub sub_runs: u32,
    /// Whether the time that it waits for is its timeout.
    pub times_out: bool,
    /// Its sub-runs that are not forgotten.
    pub runs: BTreeSet<RunId>,
    /// The end, when there is one.
    pub result: Option<Outcome>,
}

/// Where a step stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Phase {
    /// Never scheduled.
    #[default]
    Idle,
    /// Its newest attempt is open.
    Open,
    /// Another attempt follows, not before its time.
    Retrying {
        /// The time.
        due_at: Timestamp,
        /// Why.
        reason: Reason,
        /// The wake-up that is owed.
        owed: Option<OwedKey>,
    },
    /// It waits for the end of a sub-run.
    Nested(RunId),
    /// It waits for a time.
    Sleeping {
        /// The wake-up that is owed.
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
    /// How far it is.
    pub state: AttemptState,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttemptState {
    /// Offered, or to be offered. Its offer or its cancellation is owed under this key.
    Open(OwedKey),
    /// Open when the owner changed: its answer may still come, nobody waits for it.
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
