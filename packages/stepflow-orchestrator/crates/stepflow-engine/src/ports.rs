//! What the engine asks of the world: a host for components, a journal, a store for content, a clock; and what hosts
//! ask of the server for their workers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stepflow_flow::Plan;
use stepflow_flow::subflow::Takes;
use stepflow_protocol::{BlobId, BlobType, FlowError, FlowId, ResultOrder, RunId, RunStatusProtocol, TaskId, Value};

use crate::engine::Origin;
use crate::event::{Control, Record, Route, TaskRef, ValueRef};

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
    /// What happened to the worker, with its last words.
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

/// A worker, as attempts remember it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name: the plugin's with the number of the process or the address.
    pub name: String,
    /// The version of its code, where it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
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
    fn cancel(&self, route: &Route, task: TaskRef, reason: &str);
}

/// The door through which hosts speak.
pub trait Inbox: Send + Sync {
    /// The attempt was handed to this worker, or runs in this process: the time that it may take starts now. Said
    /// again when a worker did not accept it and another one has it.
    fn started(&self, task: TaskRef, instance: Option<&Arc<Instance>>);

    /// The attempt waits again: the worker that was to have it did not accept it. Waiting uses up no time.
    fn waits(&self, task: TaskRef);

    /// The attempt ended.
    fn answer(&self, task: TaskRef, answer: Answer);
}

/// Why a store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The store cannot write or read now.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

/// A run as it enters the store, in one transaction with its first events.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The root of the tree.
    pub root: RunId,
    /// The run.
    pub run: RunId,
    /// The flow.
    pub plan: Arc<Plan>,
    /// The items' inputs.
    pub inputs: Vec<Value>,
    /// The first events.
    pub records: Vec<Record>,
}

/// Keeps journals. When a future is done, its events are durable, in order.
pub trait Journal: Send + Sync {
    /// Begins a tree.
    fn create(&self, run: NewRun) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Keeps a flow that a sub-run is made of.
    fn keep_flow(&self, plan: Arc<Plan>);

    /// Adds events to a tree's journal. Several appends of one tree may be under way; they keep their order.
    fn append(&self, root: RunId, records: Vec<Record>) -> BoxFuture<'static, Result<(), StoreError>>;

    /// The events after `after_seq`, in order.
    fn read(&self, root: RunId, after_seq: u64) -> BoxFuture<'static, Result<Vec<Record>, StoreError>>;

    /// The value that stands there.
    fn value(&self, root: RunId, place: &ValueRef) -> BoxFuture<'static, Result<Value, StoreError>>;
}

/// A content with its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Blob {
    /// The content.
    pub data: Value,
    /// What it is.
    pub blob_type: BlobType,
}

/// Keeps content under the SHA-256 of its bytes.
pub trait Blobs: Send + Sync {
    /// Keeps the content, once.
    fn put(&self, blob: Blob) -> BoxFuture<'static, Result<BlobId, StoreError>>;

    /// The content of this id.
    fn get(&self, id: BlobId) -> BoxFuture<'static, Result<Blob, StoreError>>;
}

/// A run that a worker asks for.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The flow.
    pub flow_id: FlowId,
    /// One input for each item.
    pub inputs: Vec<Value>,
    /// What is changed in the flow's steps.
    pub overrides: Option<Value>,
    /// How many attempts of the run may be open at once.
    pub max_concurrency: Option<u32>,
    /// Which step asks; `None` when that cannot be told: the run is then a root of its own.
    pub origin: Option<Origin>,
}

/// Why a worker's request about runs was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RunsError {
    /// There is no such thing.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// An input does not fit the flow's schema. Nothing was created.
    #[error("{message}")]
    InvalidInput {
        /// What is wrong.
        message: String,
        /// Where, as a JSON pointer into the inputs: `/0/q`.
        path: String,
    },
    /// What was asked for cannot be, for the reason given.
    #[error("{0}")]
    Refused(String),
}

/// What a worker may ask of the server about flows and runs.
pub trait Runs: Send + Sync {
    /// The flow of this id: one that a run was made of, or the content of a blob.
    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Arc<Plan>, RunsError>>;

    /// Makes a run, or finds the one that an earlier attempt of the step has made.
    fn submit(&self, request: RunRequest) -> BoxFuture<'static, Result<RunId, RunsError>>;

    /// How far a run is, with the results of its items in this order, or without.
    fn status(
        &self,
        run: RunId,
        results: Option<ResultOrder>,
    ) -> BoxFuture<'static, Result<RunStatusProtocol, RunsError>>;

    /// Waits for the end of a run. Until then the attempt that waits holds no slot of its tree.
    fn ended(&self, run: RunId, by: Option<TaskRef>) -> BoxFuture<'static, ()>;
}

/// What the server serves to its workers.
#[derive(Clone)]
pub struct Served {
    /// Contents.
    pub blobs: Arc<dyn Blobs>,
    /// Runs and flows.
    pub runs: Arc<dyn Runs>,
}

/// Tells the time. Due times are wall time; waiting for them is the driver's business.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
