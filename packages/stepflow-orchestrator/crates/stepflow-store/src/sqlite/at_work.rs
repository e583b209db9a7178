//! The reads that are under way. While one lasts, the WAL cannot be cut: it would grow behind a read that never ends.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

#[derive(Default)]
pub(super) struct AtWork(Mutex<Reads>);

#[derive(Default)]
struct Reads {
    last: u64,
    under_way: HashMap<u64, (Instant, InterruptHandle)>,
}

/// A read; it is over when this is dropped.
pub(super) struct Read<'a> {
    reads: &'a AtWork,
    number: u64,
}

impl AtWork {
    /// A read begins.
    pub fn begin(&self, connection: &Connection) -> Read<'_> {
        let mut reads = self.0.lock();
        reads.last += 1;
        let number = reads.last;
        reads.under_way.insert(number, (Instant::now(), connection.get_interrupt_handle()));
        Read { reads: self, number }
    }

    /// How long the oldest read has lasted.
    pub fn oldest(&self) -> Duration {
        let reads = self.0.lock();
        reads.under_way.values().map(|(began, _)| began.elapsed()).max().unwrap_or_default()
    }

    /// Ends the reads that have lasted for so long. They fail, and may be asked again.
    pub fn interrupt(&self, longest: Duration) {
        let reads = self.0.lock();
        reads.under_way.values().filter(|(began, _)| began.elapsed() >= longest).for_each(|(_, read)| read.interrupt());
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        self.reads.0.lock().under_way.remove(&self.number);
    }
}
