//! Waiting for times, by the time of the clock that only goes forward.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use stepflow_protocol::RunId;

use crate::event::TaskRef;
use crate::ports::Clock;

/// What to do when a timer fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Timer {
    /// The wall time that the event of this sequence decided.
    Wake(RunId, u64),
    /// The timeout of an attempt.
    Attempt(RunId, TaskRef),
    /// An attempt that a worker has had for long enough to be marked, or whose mark was refused.
    Mark(RunId, TaskRef),
    /// To read a tree that could not be read before.
    Read(RunId, u64),
    /// A tree with nothing to do, which may leave memory.
    Park(RunId, u64),
    /// A tree that is not in memory and has a due time.
    Load(RunId),
    /// A run that could not be looked for before.
    Find(RunId),
    /// A tree of which the store could not take note that it was given up.
    GiveUp(RunId),
    /// The due times that come next.
    Horizon,
    /// To ask for the shards, which the store did not give before.
    Own,
    /// To read the open trees after this one, which could not be read before.
    Recover(Option<RunId>),
}

/// Names an armed timer. Timers of one instant fire in the order in which they were armed.
pub(super) type TimerKey = (Duration, u64);

/// The armed timers.
#[derive(Default)]
pub(super) struct Timers {
    armed: BTreeMap<TimerKey, Timer>,
    count: u64,
    /// The wait for the first of them.
    sleep: Option<(Duration, BoxFuture<'static, ()>)>,
}

impl Timers {
    /// Arms a timer that fires after this wait.
    pub fn arm(&mut self, clock: &dyn Clock, wait: Duration, timer: Timer) -> TimerKey {
        self.count += 1;
        let key = (clock.elapsed().saturating_add(wait), self.count);
        self.armed.insert(key, timer);
        key
    }

    /// Takes a timer back.
    pub fn disarm(&mut self, key: TimerKey) {
        self.armed.remove(&key);
    }

    /// Waits until a timer is due; for ever when none is armed.
    pub async fn next_due(&mut self, clock: &dyn Clock) {
        let Some(due) = self.armed.first_key_value().map(|((due, _), _)| *due) else {
            return std::future::pending().await;
        };
        if self.sleep.as_ref().is_none_or(|(until, _)| *until != due) {
            self.sleep = Some((due, clock.sleep_until(due)));
        }
        if let Some((_, sleep)) = &mut self.sleep {
            sleep.await;
        }
        self.sleep = None;
    }

    /// Takes the next timer that is due.
    pub fn take_due(&mut self, clock: &dyn Clock) -> Option<Timer> {
        let entry = self.armed.first_entry()?;
        (entry.key().0 <= clock.elapsed()).then(|| entry.remove())
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
