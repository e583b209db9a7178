//! What happens when a step fails: the handling that a step declares, and how long to wait before a retry.

use std::time::Duration;

use stepflow_protocol::{ErrorKind, Value};

/// The number of retries when a step asks for retries and does not say how many.
pub const DEFAULT_MAX_RETRIES: u32 = 3;

/// The kinds of failure that a step retries when it does not say which.
pub const DEFAULT_RETRY_ON: [ErrorKind; 4] =
    [ErrorKind::ComponentFailed, ErrorKind::Timeout, ErrorKind::ResourceUnavailable, ErrorKind::Unreachable];

/// What a step does when its component fails.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum OnError {
    /// It fails.
    #[default]
    Fail,
    /// It ends with this value instead.
    UseDefault(Value),
    /// It tries again.
    Retry(RetryPolicy),
}

/// When and how often a step tries again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Retries after the first attempt.
    pub max_retries: u32,
    /// How long to wait before each; `None` for the server's own setting.
    pub backoff: Option<Backoff>,
    /// The kinds of failure that are worth another attempt.
    pub retry_on: Vec<ErrorKind>,
    /// What happens when no retry is left, or the failure is not worth one.
    pub exhausted: Exhausted,
}

impl RetryPolicy {
    /// Whether a failure of this kind is worth another attempt.
    #[must_use]
    pub fn covers(&self, kind: ErrorKind) -> bool {
        self.retry_on.contains(&kind)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: DEFAULT_MAX_RETRIES,
            backoff: None,
            retry_on: DEFAULT_RETRY_ON.to_vec(),
            exhausted: Exhausted::Fail,
        }
    }
}

/// What a step does when its retries are used up.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Exhausted {
    /// It fails with the last failure.
    #[default]
    Fail,
    /// It ends with this value instead.
    UseDefault(Value),
}

/// How long to wait before a retry.
#[derive(Debug, Clone, PartialEq)]
pub enum Backoff {
    /// Always the same time.
    Constant {
        /// The time.
        delay: Duration,
    },
    /// Each time longer by a factor.
    Exponential {
        /// Before the first retry.
        initial: Duration,
        /// The longest.
        max: Duration,
        /// At least 1.
        factor: f64,
        /// Whether to wait a random time between half of it and all of it, so that many do not return at once.
        jitter: bool,
    },
    /// 1, 1, 2, 3, 5, 8, … times the first.
    Fibonacci {
        /// Before the first retry.
        initial: Duration,
        /// The longest.
        max: Duration,
    },
}

impl Default for Backoff {
    /// Exponential from 1 s to 10 s, doubling, with jitter.
    fn default() -> Self {
        Self::Exponential { initial: Duration::from_secs(1), max: Duration::from_secs(10), factor: 2.0, jitter: true }
    }
}

impl Backoff {
    /// The wait before a retry, counted from 1. `random` is between 0 and 1 and matters only with jitter.
    #[must_use]
    pub fn delay(&self, retry: u32, random: f64) -> Duration {
        let earlier = retry.saturating_sub(1);
        match self {
            Self::Constant { delay } => *delay,
            Self::Exponential { initial, max, factor, jitter } => {
                let exponent = i32::try_from(earlier).unwrap_or(i32::MAX);
                let full = scaled(*initial, factor.powi(exponent), *max);
                if *jitter { full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0) } else { full }
            }
            Self::Fibonacci { initial, max } => scaled(*initial, fibonacci(retry.max(1)), *max),
        }
    }
}

/// A multiple of a time, at most `max`, for factors of any size.
fn scaled(time: Duration, factor: f64, max: Duration) -> Duration {
    let seconds = time.as_secs_f64() * factor;
    if seconds < max.as_secs_f64() { Duration::from_secs_f64(seconds) } else { max }
}

/// The nth Fibonacci number, counted from 1. Beyond the 90th it only has to be large.
fn fibonacci(n: u32) -> f64 {
    let (mut current, mut next) = (1.0, 1.0);
    for _ in 1..n.min(90) {
        (current, next) = (next, current + next);
    }
    current
}
