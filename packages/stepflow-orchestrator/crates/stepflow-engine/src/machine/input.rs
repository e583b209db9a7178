//! What a machine is told.

use std::sync::Arc;

use stepflow_protocol::{RunId, Value};

use crate::event::{CancelAsked, Instance, OwnerChanged, RunCreated, StepRef, TaskRef};
use crate::ports::Answer;

/// Something that the tree has to take note of.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A run was submitted, with the inputs of its items.
    Submitted(Box<RunCreated>, Vec<Value>),
    /// A host answered for the worker that had the attempt.
    Answered(TaskRef, Answer, Option<Arc<Instance>>),
    /// An attempt took longer than its timeout at this worker.
    TimedOut(TaskRef, Option<Arc<Instance>>),
    /// The time has come that a step waits for.
    Due(StepRef),
    /// The time has come at which a run has to be done.
    DeadlineReached(RunId),
    /// Somebody wants the tree to end.
    CancelAsked(CancelAsked),
    /// This engine takes over the tree.
    OwnerChanged(OwnerChanged),
    /// Nothing new: what follows from what is known.
    Continue,
}
