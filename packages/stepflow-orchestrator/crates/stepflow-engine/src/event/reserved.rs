//! Events that no release writes yet, and that every release can fold.

use serde::{Deserialize, Serialize};
use stepflow_protocol::RunId;

use super::{Outcome, StepRef};

/// See [`super::Event::StepReused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReused {
    /// The step.
    #[serde(flatten)]
    pub step: StepRef,
    /// The run that its result was taken from.
    pub from_run: RunId,
    /// The result.
    pub result: Outcome,
}

/// See [`super::Event::StepEndedFromOutside`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEndedFromOutside {
    /// The step.
    #[serde(flatten)]
    pub step: StepRef,
    /// What was needed to end it from outside.
    pub token: String,
    /// The result.
    pub result: Outcome,
}
