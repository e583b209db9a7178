//! Limits for the time and memory that a document may take, and how they are measured.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use stepflow_flow::{Source, load};

/// The longest time for a document: twenty times what an ordinary flow of 20 000 steps takes on this machine. The
/// largest allowed document is seven times as long as that flow. So the limit also works on a slow machine and without
/// optimisation, and it fails when the time grows with the square of the length.
pub static LONGEST: LazyLock<Duration> = LazyLock::new(|| {
    let flow = Source::yaml("flow.yaml", format!("steps: [{}]", "{id: a, component: /x},".repeat(20_000)));
    let begun = Clock::start();
    drop(load(flow));
    begun.elapsed() * 20
});

/// The most memory that this test may use, in KiB.
pub const MOST_MEMORY: u64 = 256 * 1024;

/// The time that this thread has worked, so that a busy machine fails no test. Where the system does not tell it, the
/// time that has passed.
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

/// The most memory that this process has used, in KiB, if the system tells it.
pub fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
