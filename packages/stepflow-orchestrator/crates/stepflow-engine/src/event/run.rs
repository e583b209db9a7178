//! The beginning and the end of runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stepflow_protocol::{ExecutionStatus, FlowError, FlowId, RunId, Value};

use super::{StepRef, ValueRef};

/// See [`super::Event::RunCreated`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunCreated {
    /// The run.
    pub run: RunId,
    /// The root of its tree; itself for a root.
    pub root: RunId,
    /// The step that submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<StepRef>,
    /// The run that it belongs to, if it is not known which of its steps submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_run: Option<RunId>,
    /// The name under which its parent's next attempt finds it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What its parent does with its results, if the parent is control flow of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested: Option<Nested>,
    /// The flow.
    pub flow_id: FlowId,
    /// The number of items; their inputs are stored in separate rows.
    pub items: u32,
    /// The inputs of the items, an array: in the first release's events of sub-runs that a worker submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<ValueRef>,
    /// The variables, an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Value>,
    /// The overrides, as resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Value>,
    /// How many attempts of the tree may be open at once.
    pub limit: u32,
    /// The deadline of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// The version of the flow language's rules for this run.
    pub semantics: u32,
}

impl RunCreated {
    /// The run above it in its tree; none for a root.
    #[must_use]
    pub fn above(&self) -> Option<RunId> {
        self.parent.map(|step| step.run).or(self.parent_run)
    }

    /// The inputs in the event, an array: only sub-runs of the first release have them here.
    #[must_use]
    pub fn inline_inputs(&self) -> Option<&Value> {
        match self.nested.as_ref().and_then(|nested| nested.inputs.as_ref()).or(self.inputs.as_ref())? {
            ValueRef::Inline(inputs) => Some(inputs),
            ValueRef::Row(_) | ValueRef::Item(..) | ValueRef::Blob(_) => None,
        }
    }
}

/// What a step of control flow does with its sub-run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nested {
    /// What is made of the sub-run's results.
    pub control: Control,
    /// The step's input.
    pub step_input: ValueRef,
    /// The inputs of the sub-run's items, an array: in the first release's events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<ValueRef>,
    /// The deadline of the step, for all its sub-runs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

/// The control flow of the machine: steps that run a flow instead of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// A flow by its id, once.
    Eval,
    /// A flow for each of many items.
    Map,
    /// A flow again and again, until its output says that it is done.
    Iterate,
}

/// See [`super::Event::CancelAsked`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelAsked {
    /// The run, if it is not the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Who asked.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// See [`super::Event::DeadlineReached`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadlineReached {
    /// The run.
    pub run: RunId,
    /// Whether it is the step around the run that took too long, and not the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_step: bool,
    /// Why one of its steps was being retried: the timeout alone would hide this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<FlowError>,
}

/// See [`super::Event::RunEnded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnded {
    /// The run.
    pub run: RunId,
    /// How it ended: never `running`.
    pub status: ExecutionStatus,
    /// How those items ended that have no event for their end: nothing had begun in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FlowError>,
}
