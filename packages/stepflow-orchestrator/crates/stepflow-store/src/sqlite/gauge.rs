//! What the writer has done so far.

use std::time::Duration;

use parking_lot::Mutex;
use stepflow_engine::ports::{Outage, StoreError};

/// What a store has written since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Transactions.
    pub commits: u64,
    /// The requests in them: appends, new runs, marks, contents.
    pub entries: u64,
    /// The most requests in one transaction.
    pub largest_batch: u64,
    /// The time of all COMMITs together.
    pub commit_time: Duration,
    /// The longest COMMIT.
    pub longest_commit: Duration,
    /// How long the WAL is, in bytes.
    pub wal_bytes: u64,
    /// How much was written into the WAL, in bytes.
    pub wal_written: u64,
    /// How long the oldest of the reads under way has lasted.
    pub oldest_read: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Gauges {
    gauge: Mutex<Gauge>,
    /// Why the last transaction was not stored.
    outage: Mutex<Option<Outage>>,
}

impl Gauges {
    pub fn read(&self) -> Gauge {
        *self.gauge.lock()
    }

    /// Why nothing can be stored now.
    pub fn down(&self) -> Option<Outage> {
        self.outage.lock().clone()
    }

    /// How the last transaction ended.
    pub fn outage(&self, error: Option<&StoreError>) {
        let now = match error {
            Some(StoreError::Unavailable(outage)) => Some(outage.clone()),
            _ => None,
        };
        let before = std::mem::replace(&mut *self.outage.lock(), now.clone());
        match (before, now) {
            (None, Some(outage)) => tracing::error!("nothing can be stored: {outage}"),
            (Some(_), None) => tracing::info!("everything can be stored again"),
            _ => {}
        }
    }

    pub fn batch(&self, entries: usize) {
        let mut gauge = self.gauge.lock();
        gauge.entries += entries as u64;
        gauge.largest_batch = gauge.largest_batch.max(entries as u64);
    }

    pub fn commit(&self, took: Duration) {
        let mut gauge = self.gauge.lock();
        gauge.commits += 1;
        gauge.commit_time += took;
        gauge.longest_commit = gauge.longest_commit.max(took);
    }

    /// The WAL has this length now. If it is shorter than before, it has started again.
    pub fn wal(&self, bytes: u64) {
        let mut gauge = self.gauge.lock();
        gauge.wal_written += bytes.checked_sub(gauge.wal_bytes).unwrap_or(bytes);
        gauge.wal_bytes = bytes;
    }
}
