//! What the engine asks of those that run components, and what they tell it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stepflow_flow::subflow::Takes;
use stepflow_protocol::{FlowError, FlowId, RunId, TaskId, Value};

use crate::event::{Control, Instance, Route, TaskRef};

/// A task as it is handed to a host: all that is needed to run it, on this machine or another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskEnvelope {
    /// The task and attempt.
    pub task: TaskRef,
    /// The root of the run's tree: waiting tasks are taken in turns over roots.
    pub root_run_id: RunId,
    /// The run.
    pub run_id: RunId,
    /// The tasks that asked for the run and for those above it, the nearest first: each may be waiting for this one.
    #[serde(default)]
    pub above: Vec<TaskId>,
    /// The flow.
    pub flow_id: FlowId,
    /// The item: inside a root, tasks are taken by item, then step.
    pub item: u32,
    /// The step's place in its flow.
    pub step: u32,
    /// The step's id in its flow.
    pub step_id: String,
    /// The owner of the run when the task was offered.
    pub epoch: u64,
    /// Where the router sent it.
    pub route: Route,
    /// The step's input.
    pub input: Value,
    /// How long the attempt may take, from the moment the worker has it.
    pub timeout: Option<Duration>,
    /// When the run has to be done.
    pub deadline: Option<Timestamp>,
    /// The trace to go on with (W3C `traceparent`).
    pub traceparent: Option<String>,
    /// How many attempts shared the crash that the attempt before is suspected of; 0: it is not. A worker process has
    /// it only together with other suspects, at most half as many (see [`company`]).
    #[serde(default)]
    pub suspects: u32,
}

impl TaskEnvelope {
    /// Where words about the attempt go.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { root: self.root_run_id, epoch: self.epoch, task: self.task }
    }
}

/// Where a word about an attempt goes: any driver, on any server, can tell from it where it belongs and whether it comes
/// late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The root of the tree.
    pub root: RunId,
    /// The owner that offered the attempt.
    pub epoch: u64,
    /// The attempt.
    pub task: TaskRef,
}

/// What a step's component path leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A component of a host.
    Component {
        /// Where it is.
        route: Route,
        /// What running it again would do.
        purity: Purity,
    },
    /// A sub-run: control flow of the machine.
    SubFlow(Control),
    /// A wait, then the input itself: control flow of the machine.
    Timer,
    /// Nobody knows yet: it depends on what a worker serves that has not said so. See [`ComponentHost::decided`].
    Undecided,
}

/// What running a component does to the world: decides whether it may run ahead of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purity {
    /// Nothing.
    Pure,
    /// Reads.
    Read,
    /// Anything.
    External,
}

/// How an attempt ended, as its host saw it.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The component returned.
    Success(Value),
    /// The component failed, or could not be called for a reason that another try will not mend by itself.
    Failed(Failure),
    /// The attempt was lost with its worker, or never reached one.
    Lost(Lost),
    /// The attempt stopped because it was cancelled.
    Cancelled,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Why.
    pub error: FlowError,
    /// `Some(false)` forbids another attempt.
    pub retryable: Option<bool>,
    /// The least time to wait before another attempt.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Whether there must not be another attempt, whatever the flow says.
    #[must_use]
    pub fn forbids_retry(&self) -> bool {
        self.retryable == Some(false)
    }
}

impl From<FlowError> for Failure {
    fn from(error: FlowError) -> Self {
        let retryable = forbids_retry(&error).then_some(false);
        Self { error, retryable, retry_after: None }
    }
}

/// Whether the error says, as one from inside a flow does, that there must not be another attempt.
pub(crate) fn forbids_retry(error: &FlowError) -> bool {
    let said = error.data.as_ref().and_then(|data| data.field("retryable"));
    said.is_some_and(|said| said.as_str() == "false")
}

/// A lost attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// What happened to the worker, with the end of its stderr.
    pub error: FlowError,
    /// Whether it draws on the transport's budget. Not when the loss was ordered by us.
    pub spends: bool,
    /// Whether to wait before the next attempt: when no connection could be made.
    pub back_off: bool,
    /// How many attempts shared the crash, when this one may be the reason of it; 0: it is not.
    pub suspects: u32,
}

/// How many suspects of a crash may be in a worker process together, after so many have shared the crash: half of them,
/// so that the one that crashes is found in few rounds.
#[must_use]
pub fn company(suspects: u32) -> u32 {
    suspects.div_ceil(2)
}

/// Runs components. Never returns results: they come through the [`Inbox`], from any thread, at any later time.
pub trait ComponentHost: Send + Sync {
    /// Where the component of this path is. Checks the input against the component's schema. No I/O.
    ///
    /// # Errors
    /// COMPONENT_NOT_FOUND when nothing serves the path, INVALID_INPUT when the input does not fit.
    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError>;

    /// Waits until [`ComponentHost::resolve`] knows where this path leads, or would not know it by waiting longer.
    fn decided(&self, _path: &str) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }

    /// What of its input the component of this path takes as a flow, if it takes one.
    fn takes_flow(&self, _path: &str) -> Option<Takes> {
        None
    }

    /// Takes the task. Returns at once; the task waits inside for a slot. Exactly one answer follows, in the end.
    fn offer(&self, task: TaskEnvelope);

    /// Asks for the end of an attempt. Its answer follows as ever, and may be a success.
    fn cancel(&self, route: &Route, task: Address, reason: &str);
}

/// The door through which hosts speak.
pub trait Inbox: Send + Sync {
    /// The attempt was handed to this worker, or runs in this process: the time that it may take starts now. Said
    /// again when a worker did not accept it and another one has it.
    fn started(&self, task: Address, instance: Option<&Arc<Instance>>);

    /// The attempt waits again: the worker that was to have it did not accept it. Waiting uses up no time.
    fn waits(&self, task: Address);

    /// The attempt ended.
    fn answer(&self, task: Address, answer: Answer);
}
