//! Whether a plugin takes tasks.

use stepflow_engine::ports::TaskEnvelope;
use stepflow_protocol::FlowError;

/// Whether tasks are taken.
#[derive(Debug, Clone, Default)]
pub(super) enum PoolState {
    /// Tasks are taken; they wait while no instance is ready.
    #[default]
    Open,
    /// No worker is up, for this reason: tasks wait.
    Awaiting(FlowError),
    /// No worker starts, or workers have crashed too often: tasks fail at once.
    Refusing(Refusal),
    /// The plugin was shut down.
    ShutDown,
}

/// Why tasks fail.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub error: FlowError,
    /// Whether it is final also for tasks that were open when the server ended before.
    pub of_all: bool,
}

impl Refusal {
    pub fn applies_to(&self, task: &TaskEnvelope) -> bool {
        self.of_all || !task.recovers
    }
}

impl PoolState {
    pub fn is_shut_down(&self) -> bool {
        matches!(self, Self::ShutDown)
    }
}
