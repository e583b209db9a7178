//! Whether a plugin takes tasks.

use stepflow_protocol::FlowError;

/// Whether tasks are taken.
#[derive(Debug, Clone, Default)]
pub(super) enum PoolState {
    /// Tasks are taken; they wait while no instance is ready.
    #[default]
    Open,
    /// No worker starts, or workers have crashed too often: tasks fail at once with this error.
    Refusing(FlowError),
    /// The plugin was shut down.
    ShutDown,
}

impl PoolState {
    pub fn is_shut_down(&self) -> bool {
        matches!(self, Self::ShutDown)
    }
}
