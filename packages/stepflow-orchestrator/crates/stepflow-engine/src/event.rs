//! What has happened in a run tree: the events of its journal. Every later release must be able to read them.
//!
//! An event contains everything that does not follow from earlier events: time, ids, jitter, the resolved route.

mod reserved;
mod run;
mod suspects;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stepflow_protocol::{BlobId, ExecutionStatus, FlowError, RunId, TaskId, Value};

pub use reserved::{StepEndedFromOutside, StepReused};
pub use run::{CancelAsked, Control, DeadlineReached, Nested, RunCreated, RunEnded};

/// The version of the events that this release writes.
pub const EVENT_VERSION: u32 = 1;

/// A line of a journal: an event with its place and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The event's place in its tree's journal: from 1, without gaps, given by the machine.
    pub seq: u64,
    /// When it was decided, by the engine's clock.
    pub at: Timestamp,
    /// The version of the event's form.
    pub version: u32,
    /// What happened.
    pub event: Event,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueRef {
    /// In this field.
    Inline(Value),
    /// In the event of this sequence of the same journal.
    Row(u64),
    /// The input of this item of this run.
    Item(RunId, u32),
    /// In the blob store.
    Blob(BlobId),
}

/// A step of an item of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepRef {
    /// The run.
    pub run: RunId,
    /// The item, counted from 0.
    pub item: u32,
    /// The step's place in its flow, counted from 0.
    pub step: u32,
}

/// One try of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskRef {
    /// The step of the item.
    pub task_id: TaskId,
    /// Which try, counted from 1.
    pub attempt: u32,
}

/// Where the router sent a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The plugin's name in the config.
    pub plugin: String,
    /// The component's path, as the plugin knows it.
    pub component: String,
}

/// A worker, as attempts remember it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name: the plugin's with the number of the process or the address.
    pub name: String,
    /// The version of its code, if the worker gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Why an attempt was scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The step became ready.
    First,
    /// `onError: retry` after the component failed.
    ComponentRetry,
    /// The worker was lost with the attempt before.
    TransportRetry,
    /// The owner of the run changed while the attempt before was open.
    Recovery,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The component returned.
    Success,
    /// The component failed, or what is used in its place.
    ComponentError,
    /// It took longer than allowed.
    Timeout,
    /// Its worker was lost.
    Lost,
    /// It was cancelled.
    Cancelled,
}

/// Which budget pays for the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// None: the attempt ended well, or the server caused its end.
    None,
    /// The transport's, used first and never refilled.
    Transport,
    /// That of `onError: retry`.
    Component,
}

/// How a step or an item ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a value.
    Success(ValueRef),
    /// With an error.
    Failed(FlowError),
}

/// What has happened. The tag is outside, because an inner tag would parse the raw values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A run was created.
    RunCreated(Box<RunCreated>),
    /// An attempt is to be offered to a host.
    StepScheduled(StepScheduled),
    /// An attempt ended.
    AttemptEnded(AttemptEnded),
    /// Another attempt follows, not before a given time.
    RetryScheduled(RetryScheduled),
    /// A step of control flow, or its sub-run, failed and begins again, not before a given time.
    StepRetryScheduled(StepRetryScheduled),
    /// A step ended: once for each step of an item.
    StepEnded(StepEnded),
    /// A step waits for a time.
    TimerStarted(TimerStarted),
    /// The time has come.
    TimerFired(StepRef),
    /// An item ended.
    ItemEnded(ItemEnded),
    /// Somebody asked to end the tree, or one run in it with all runs below it.
    CancelAsked(CancelAsked),
    /// The deadline of a run has passed. Everything open in it and below it ends.
    DeadlineReached(DeadlineReached),
    /// A run ended.
    RunEnded(RunEnded),
    /// A new owner took over the tree. Attempts that were open with the last owner are not open any more.
    OwnerChanged(OwnerChanged),
    /// Reserved: a step's result was taken from another run.
    StepReused(StepReused),
    /// Reserved: a step was ended by a signal or an approval.
    StepEndedFromOutside(StepEndedFromOutside),
}

impl Event {
    /// The place of the value that it brings, if it brings one.
    #[must_use]
    pub fn value(&self) -> Option<&ValueRef> {
        match self {
            Self::AttemptEnded(AttemptEnded { payload: Some(place), .. })
            | Self::StepEnded(StepEnded { result: Outcome::Success(place), .. })
            | Self::ItemEnded(ItemEnded { result: Outcome::Success(place), .. }) => Some(place),
            _ => None,
        }
    }

    /// The bytes of the values in it, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let value = |place: &ValueRef| if let ValueRef::Inline(value) = place { value.size() } else { 0 };
        let error = |error: &FlowError| error.message.len() + error.data.as_ref().map_or(0, Value::size);
        let outcome = |result: &Outcome| match result {
            Outcome::Success(place) => value(place),
            Outcome::Failed(failed) => error(failed),
        };
        match self {
            Self::RunCreated(created) => created.inline_inputs().map_or(0, Value::size),
            Self::StepScheduled(scheduled) => value(&scheduled.input),
            Self::AttemptEnded(ended) => {
                ended.payload.as_ref().map_or(0, value) + ended.error.as_ref().map_or(0, error)
            }
            Self::StepRetryScheduled(retry) => error(&retry.error),
            Self::StepEnded(StepEnded { result, .. })
            | Self::ItemEnded(ItemEnded { result, .. })
            | Self::StepReused(StepReused { result, .. })
            | Self::StepEndedFromOutside(StepEndedFromOutside { result, .. }) => outcome(result),
            Self::TimerStarted(timer) => value(&timer.input),
            Self::RunEnded(ended) => ended.error.as_ref().map_or(0, error),
            Self::DeadlineReached(reached) => reached.cause.as_ref().map_or(0, error),
            Self::RetryScheduled(_) | Self::TimerFired(_) | Self::CancelAsked(_) | Self::OwnerChanged(_) => 0,
        }
    }
}

/// See [`Event::StepScheduled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepScheduled {
    /// The step.
    #[serde(flatten)]
    pub step: StepRef,
    /// The task and attempt.
    #[serde(flatten)]
    pub task: TaskRef,
    /// The component's path in the flow.
    pub component: String,
    /// Where the router sent it.
    pub route: Route,
    /// The step's input.
    pub input: ValueRef,
    /// Why.
    pub reason: Reason,
}

/// See [`Event::AttemptEnded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnded {
    /// The task and attempt.
    #[serde(flatten)]
    pub task: TaskRef,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<ValueRef>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FlowError>,
    /// The budget that it drew on.
    pub spends: Budget,
    /// The worker that had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Arc<Instance>>,
    /// If it may be the reason for the crash of its worker: how many attempts shared the crash. Otherwise 0.
    #[serde(
        default,
        alias = "suspect",
        deserialize_with = "suspects::read",
        skip_serializing_if = "suspects::are_none"
    )]
    pub suspects: u32,
}

/// See [`Event::RetryScheduled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryScheduled {
    /// The task and the attempt that ended.
    #[serde(flatten)]
    pub task: TaskRef,
    /// Not before this time.
    pub due_at: Timestamp,
    /// The budget that pays for it.
    pub budget: Budget,
}

/// See [`Event::StepRetryScheduled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRetryScheduled {
    /// The step.
    #[serde(flatten)]
    pub step: StepRef,
    /// Not before this time.
    pub due_at: Timestamp,
    /// Why it failed.
    pub error: FlowError,
}

/// See [`Event::StepEnded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEnded {
    /// The step.
    #[serde(flatten)]
    pub step: StepRef,
    /// How it ended.
    pub result: Outcome,
    /// Whether the value is `onError`'s default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub defaulted: bool,
}

/// See [`Event::TimerStarted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimerStarted {
    /// The step.
    #[serde(flatten)]
    pub step: StepRef,
    /// The time that it waits for.
    pub due_at: Timestamp,
    /// Its input, which becomes its result.
    pub input: ValueRef,
    /// Whether that time is its timeout: the step would have waited longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub times_out: bool,
}

/// See [`Event::ItemEnded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemEnded {
    /// The run.
    pub run: RunId,
    /// The item, counted from 0.
    pub item: u32,
    /// How far it came: never `running`.
    pub status: ExecutionStatus,
    /// Its output or its error.
    pub result: Outcome,
}

/// See [`Event::OwnerChanged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnerChanged {
    /// The new owner's number, greater than every one before.
    pub epoch: u64,
    /// Whether the last owner stopped in good order: then none of its attempts caused its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clean: bool,
    /// The attempts that a worker had. Absent in events of the first release: then every open one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Vec<TaskRef>>,
}
