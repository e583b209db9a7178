//! The inputs of a machine.

use std::sync::Arc;

use stepflow_protocol::{RunId, Value};

use crate::event::{CancelAsked, Instance, OwnerChanged, RunCreated, StepRef, TaskRef};
use crate::ports::Answer;

/// An input of the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A run was submitted, with the inputs of its items.
    Submitted(Box<RunCreated>, Vec<Value>),
    /// A host answered for the worker that had the attempt.
    Answered(TaskRef, Answer, Option<Arc<Instance>>),
    /// An attempt took longer than its timeout at this worker.
    TimedOut(TaskRef, Option<Arc<Instance>>),
    /// The wait of a step is over.
    Due(StepRef),
    /// The deadline of a run has passed.
    DeadlineReached(RunId),
    /// Somebody asked to end the tree.
    CancelAsked(CancelAsked),
    /// This engine takes over the tree.
    OwnerChanged(OwnerChanged),
    /// Nothing new: decides what follows from the state.
    Continue,
}
