//! The settings with which the engine is started.

use std::sync::Arc;
use std::time::Duration;

use stepflow_flow::Backoff;

use crate::machine::Rules;
use crate::ports::{Clock, ComponentHost, Journal};

/// The engine's settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many attempts of a run tree may be open at once, if the run has no other limit. Default 100.
    pub max_concurrency: u32,
    /// How often a step is offered again because its worker was lost. Default 3.
    pub transport_max_retries: u32,
    /// How many times in a row the server may crash while a worker has a step, before that step fails. Default 3; 0
    /// means that there is no limit.
    pub max_server_crashes: u32,
    /// The wait before a retry if the flow has none. Default: exponential, 1 s to 10 s, with jitter.
    pub backoff: Backoff,
    /// How long an attempt may take if the step has no limit. Default: no limit.
    pub step_timeout: Option<Duration>,
    /// How many bytes of durable values are kept in memory. Default 32 MiB.
    pub cache_bytes: usize,
    /// How long a tree has to be idle before it may leave memory. Default 1 s.
    pub park_after: Duration,
    /// How many bytes of idle trees stay in memory, shared by the drivers. Default 16 MiB.
    pub idle_bytes: usize,
    /// Whether runs that an earlier owner left open go on by themselves. Otherwise each goes on once somebody waits for
    /// it, and no tree leaves memory. Default true.
    pub takes_over: bool,
}

impl Default for Options {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            max_concurrency: 100,
            transport_max_retries: rules.transport_max_retries,
            max_server_crashes: rules.max_server_crashes,
            backoff: rules.backoff,
            step_timeout: None,
            cache_bytes: 32 << 20,
            park_after: Duration::from_secs(1),
            idle_bytes: 16 << 20,
            takes_over: true,
        }
    }
}

/// What the engine uses: the ports.
#[derive(Clone)]
pub struct Ports {
    /// Keeps the journals.
    pub journal: Arc<dyn Journal>,
    /// Runs the components.
    pub host: Arc<dyn ComponentHost>,
    /// Tells the time and waits.
    pub clock: Arc<dyn Clock>,
}
