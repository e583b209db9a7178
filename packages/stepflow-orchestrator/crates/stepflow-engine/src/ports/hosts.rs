//! What the engine asks of hosts, which run components, and what they answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stepflow_flow::subflow::Takes;
use stepflow_protocol::{FlowError, FlowId, RunId, TaskId, Value};

use crate::event::{Control, Instance, Route, TaskRef};

/// A task as it is handed to a host: everything that is needed to run it, on this machine or another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskEnvelope {
    /// The task and attempt.
    pub task: TaskRef,
    /// The root of the run's tree: tasks of different roots take turns.
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
    /// The deadline of the run.
    pub deadline: Option<Timestamp>,
    /// The trace to continue (W3C `traceparent`).
    pub traceparent: Option<String>,
    /// If the attempt before is suspected of a crash: how many attempts shared the crash. Otherwise 0. A worker process
    /// has it only together with other suspects, at most half as many (see [`max_suspects`]).
    #[serde(default)]
    pub suspects: u32,
    /// Whether the attempt before was open when its server ended. Such a task waits for a worker that is not up yet, and
    /// no worker has it before it is marked (see [`Inbox::starting`]).
    #[serde(default)]
    pub recovers: bool,
}

impl TaskEnvelope {
    /// Where messages about the attempt go.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { root: self.root_run_id, epoch: self.epoch, task: self.task }
    }
}

/// The address for messages about an attempt. Any driver, on any server, can see from it where the attempt belongs and
/// whether the message is late.
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
        /// The effect of running it again.
        purity: Purity,
    },
    /// A sub-run: control flow of the machine.
    SubFlow(Control),
    /// A wait, whose result is its input: control flow of the machine.
    Timer,
    /// Not known yet: it depends on a worker that has not listed its components. See [`ComponentHost::decided`].
    Undecided,
}

/// The effect of a component outside: it decides whether the component may run before its event is stored.
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
    /// The component failed, or could not be called for a reason that another try will not remove.
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
    /// Whether there must not be another attempt, even if the flow has a retry.
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

/// Whether the error forbids another attempt, as an error from inside a flow may do.
pub(crate) fn forbids_retry(error: &FlowError) -> bool {
    let said = error.data.as_ref().and_then(|data| data.field("retryable"));
    said.is_some_and(|said| said.as_str() == "false")
}

/// A lost attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// What happened to the worker, with the end of its stderr.
    pub error: FlowError,
    /// Whether the transport's budget pays for it. It does not if the server caused the loss.
    pub spends: bool,
    /// Whether to wait before the next attempt: when no connection could be made.
    pub back_off: bool,
    /// If this attempt may be the reason of a crash: how many attempts shared the crash. Otherwise 0.
    pub suspects: u32,
}

/// How many suspects of a crash may be in a worker process together, if so many have shared the crash: half of them. So
/// the one that crashes is found in few rounds.
#[must_use]
pub fn max_suspects(suspects: u32) -> u32 {
    suspects.div_ceil(2)
}

/// Runs components. Never returns results: they come through the [`Inbox`], from any thread, at any later time.
pub trait ComponentHost: Send + Sync {
    /// Where the component of this path is. Checks the input against the component's schema. No I/O.
    ///
    /// # Errors
    /// COMPONENT_NOT_FOUND when nothing serves the path, INVALID_INPUT when the input does not fit.
    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError>;

    /// Waits until [`ComponentHost::resolve`] knows more about where this path leads, or waiting longer would not help.
    fn decided(&self, _path: &str) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }

    /// Which part of its input the component of this path takes as a flow, if it takes one.
    fn takes_flow(&self, _path: &str) -> Option<Takes> {
        None
    }

    /// The effect of running the component at this place again: whether it may run before its event is stored.
    fn purity(&self, _route: &Route) -> Purity {
        Purity::External
    }

    /// Takes the task. Returns at once; the task waits inside for a slot. Exactly one answer follows, in the end.
    fn offer(&self, task: TaskEnvelope);

    /// The attempt is marked: its worker may have it now. `hold` is the number that came with [`Inbox::starting`]. A host
    /// whose components run in this process holds nothing back.
    fn proceed(&self, _route: &Route, _task: Address, _hold: u64) {}

    /// Asks for the end of an attempt. Its answer follows as always, and may be a success.
    fn cancel(&self, route: &Route, task: Address, reason: &str);
}

/// The inbox for messages of hosts.
pub trait Inbox: Send + Sync {
    /// An attempt that recovers has a slot of a worker, and nothing was sent to the worker. If the worker takes the server
    /// down at once, as it may have done before, the next owner must know which attempts it had. So this one is marked
    /// now, and then [`ComponentHost::proceed`] comes with this number. The host says [`Inbox::waits`] if the attempt
    /// loses its slot before that.
    fn starting(&self, task: Address, hold: u64);

    /// The attempt was handed to this worker, or runs in this process: its time starts now. It is sent again when a
    /// worker did not accept the attempt and another one has it.
    fn started(&self, task: Address, instance: Option<&Arc<Instance>>);

    /// The attempt waits again, because the worker did not accept it. Waiting uses up no time.
    fn waits(&self, task: Address);

    /// The attempt ended.
    fn answer(&self, task: Address, answer: Answer);
}
