//! Waiting for times: by the monotonic clock, so that a wall clock that is set back delays nothing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use stepflow_protocol::RunId;
use tokio::time::Instant;

use crate::event::{StepRef, TaskRef};

/// Whose time has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Timer {
    Step(RunId, StepRef),
    Attempt(RunId, TaskRef),
    Run(RunId, RunId),
}

/// Names an armed timer. Timers of one instant fire in the order in which they were armed.
pub(super) type TimerKey = (Instant, u64);

/// The armed timers.
#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: BTreeMap<TimerKey, Timer>,
    count: u64,
}

impl Timers {
    /// Arms a timer.
    pub fn arm(&mut self, wait: Duration, timer: Timer) -> TimerKey {
        self.count += 1;
        // A wait beyond what the clock can name is as good as a century.
        let due =
            Instant::now().checked_add(wait).unwrap_or_else(|| Instant::now() + Duration::from_secs(3_200_000_000));
        let key = (due, self.count);
        self.armed.insert(key, timer);
        key
    }

    /// Takes a timer back.
    pub fn disarm(&mut self, key: TimerKey) {
        self.armed.remove(&key);
    }

    /// Waits until a timer is due; for ever when none is armed.
    pub async fn next_due(&self) {
        match self.armed.first_key_value() {
            Some(((due, _), _)) => tokio::time::sleep_until(*due).await,
            None => std::future::pending().await,
        }
    }

    /// Takes the timers that are due.
    pub fn take_due(&mut self) -> Vec<Timer> {
        let later = self.armed.split_off(&(Instant::now(), u64::MAX));
        std::mem::replace(&mut self.armed, later).into_values().collect()
    }
}

/// How long it is until a wall time; nothing when it has passed.
pub(super) fn until(due_at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due_at.duration_since(now)).unwrap_or_default()
}

/// The wall time after this wait, as far as the calendar goes.
pub(super) fn after(now: Timestamp, wait: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
