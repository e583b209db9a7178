//! What a document may cost, and how that is measured.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use stepflow_flow::{Source, load};

/// The longest that a document may take: twenty times what an ordinary flow of 20 000 steps takes here and now. The
/// largest that may be read is seven times as long as that flow. So a document passes on a slow machine and in a build
/// that is not optimised, and one whose cost grows with the square of its length does not.
pub static LONGEST: LazyLock<Duration> = LazyLock::new(|| {
    let flow = Source::yaml("flow.yaml", format!("steps: [{}]", "{id: a, component: /x},".repeat(20_000)));
    let begun = Clock::start();
    drop(load(flow));
    begun.elapsed() * 20
});

/// The most memory that this test may have taken at any time, in KiB.
pub const MOST_MEMORY: u64 = 256 * 1024;

/// Time that this thread has worked, so that a busy machine fails no test; where the system does not tell it, time on
/// the wall.
pub struct Clock {
    begun: Instant,
    worked: Option<Duration>,
}

impl Clock {
    pub fn start() -> Self {
        Self { begun: Instant::now(), worked: worked() }
    }

    pub fn elapsed(&self) -> Duration {
        worked().zip(self.worked).map_or_else(|| self.begun.elapsed(), |(now, before)| now - before)
    }
}

fn worked() -> Option<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    statistics.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The most memory that this process has had, in KiB, where the system tells.
pub fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
