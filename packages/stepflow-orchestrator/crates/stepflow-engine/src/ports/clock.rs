//! The time, and waiting for it.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time and waits. Due times are wall time, which may be set forward and back. Waiting uses a time that only
/// goes forward.
pub trait Clock: Send + Sync {
    /// The wall time.
    fn now(&self) -> Timestamp;

    /// How long this clock has been running. It never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits until the clock has been running for this long.
    fn sleep_until(&self, elapsed: Duration) -> BoxFuture<'static, ()>;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep_until(&self, elapsed: Duration) -> BoxFuture<'static, ()> {
        match self.started.checked_add(elapsed) {
            Some(instant) => tokio::time::sleep_until(instant).boxed(),
            // Later than the clock can represent.
            None => std::future::pending().boxed(),
        }
    }
}
