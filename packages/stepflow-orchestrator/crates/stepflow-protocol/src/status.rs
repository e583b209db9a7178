//! The status of a run, an item or a step, in the words of the HTTP API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a run or one of its items is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ExecutionStatus {
    /// Has begun and has not ended.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because somebody asked for it. Terminal, no matter what arrives later.
    Cancelled,
    /// Cannot continue, because what is stored of it is damaged.
    RecoveryFailed,
}

impl ExecutionStatus {
    /// Whether it never changes any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self != Self::Running
    }
}

/// How far a step of one item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StepStatus {
    /// Waits for other steps.
    Blocked,
    /// Could run, and waits for a slot, a worker or the next attempt.
    Runnable,
    /// A worker has it.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
}
