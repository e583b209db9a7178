//! Reads runs and flows: rows, in pages. A driver never uses it, because it knows its trees.
//!
//! A page begins after the last row of the page before, which the caller gives. It is the last page if it has fewer
//! rows than requested.

use std::cmp::Reverse;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use stepflow_flow::Plan;
use stepflow_protocol::{
    ErrorKind, ExecutionStatus, FlowError, FlowId, FlowResult, ResultOrder, RunId, StepStatus, TaskId,
};

use super::store::StoreError;
use crate::event::{AttemptOutcome, Instance, Outcome, Reason};

/// A run in lists.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// The root of its tree.
    pub root: RunId,
    /// The run above it; none for a root.
    pub parent: Option<RunId>,
    /// The flow.
    pub flow_id: FlowId,
    /// The flow's name.
    pub flow_name: Option<String>,
    /// How far it is.
    pub status: ExecutionStatus,
    /// How far its items are.
    pub items: ItemCounts,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl RunRow {
    /// The row of a run in a tree that was given up: see [`Journal::give_up`](super::Journal::give_up).
    #[must_use]
    pub fn given_up(mut self) -> Self {
        if !self.status.is_terminal() {
            self.status = ExecutionStatus::RecoveryFailed;
            self.items.end(self.items.running, ExecutionStatus::RecoveryFailed);
        }
        self
    }
}

/// How far the items of a run are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ItemCounts {
    /// All of them.
    pub total: u32,
    /// Ended with a result.
    pub completed: u32,
    /// Not ended.
    pub running: u32,
    /// Ended with an error.
    pub failed: u32,
    /// Ended by a cancellation.
    pub cancelled: u32,
}

impl ItemCounts {
    /// The counts of a run whose items are all open.
    #[must_use]
    pub fn running(total: u32) -> Self {
        Self { total, running: total, ..Self::default() }
    }

    /// So many items have ended with this status.
    pub fn end(&mut self, items: u32, status: ExecutionStatus) {
        let ended = match status {
            ExecutionStatus::Completed => &mut self.completed,
            ExecutionStatus::Failed | ExecutionStatus::RecoveryFailed => &mut self.failed,
            ExecutionStatus::Cancelled => &mut self.cancelled,
            ExecutionStatus::Running => return,
        };
        *ended += items;
        self.running -= items;
    }
}

/// An item of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemRow {
    /// Its place among the inputs, counted from 0.
    pub item: u32,
    /// How far it is.
    pub status: ExecutionStatus,
    /// Its output or error.
    pub result: Option<FlowResult>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl ItemRow {
    /// An item that has not ended.
    #[must_use]
    pub fn running(item: u32) -> Self {
        Self { item, status: ExecutionStatus::Running, result: None, ended_at: None }
    }

    /// An item that has not ended, in a tree that was given up for this reason.
    #[must_use]
    pub fn given_up(item: u32, why: &str) -> Self {
        let error = FlowError::new(ErrorKind::OrchestratorError, format!("the run cannot continue: {why}"));
        let result = Some(FlowResult::Failed(error));
        Self { item, status: ExecutionStatus::RecoveryFailed, result, ended_at: None }
    }
}

/// A step of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    /// Its place in the flow, counted from 0.
    pub step: u32,
    /// Its id in the flow.
    pub step_id: String,
    /// How far it is.
    pub status: StepStatus,
    /// The attempts made.
    pub attempts: u32,
    /// How it ended: where its output is, or its error.
    pub result: Option<Outcome>,
    /// When its first attempt was scheduled.
    pub scheduled_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl StepRow {
    /// Why it failed.
    #[must_use]
    pub fn error(&self) -> Option<&FlowError> {
        match &self.result {
            Some(Outcome::Failed(error)) => Some(error),
            Some(Outcome::Success(_)) | None => None,
        }
    }
}

/// An attempt of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// The task, which all attempts of the step share.
    pub task_id: TaskId,
    /// Its number, counted from 1.
    pub attempt: u32,
    /// Why it was made.
    pub reason: Reason,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// The worker that had it, which is known when it has ended.
    pub worker: Option<Arc<Instance>>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed.
    pub error: Option<FlowError>,
}

/// A flow in lists.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowRow {
    /// Its id.
    pub flow_id: FlowId,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// When it was first stored.
    pub created_at: Timestamp,
}

/// Which runs a list has: those that match all conditions that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// How far they are.
    pub status: Option<ExecutionStatus>,
    /// Their flow.
    pub flow_id: Option<FlowId>,
    /// Their flow's name.
    pub flow_name: Option<String>,
    /// The root of their tree; the root itself is one of them.
    pub root: Option<RunId>,
    /// The run above them.
    pub parent: Option<RunId>,
    /// Only runs with no run above them.
    pub roots_only: bool,
}

impl RunFilter {
    /// Whether a run is one of them.
    #[must_use]
    pub fn fits(&self, row: &RunRow) -> bool {
        self.status.is_none_or(|status| row.status == status)
            && self.flow_id.is_none_or(|flow| row.flow_id == flow)
            && self.flow_name.as_ref().is_none_or(|name| row.flow_name.as_ref() == Some(name))
            && self.root.is_none_or(|root| row.root == root)
            && self.parent.is_none_or(|parent| row.parent == Some(parent))
            && !(self.roots_only && row.parent.is_some())
    }
}

/// Reads what is stored. Everything that was committed before a request is in its answer.
pub trait Queries: Send + Sync {
    /// The run of this id.
    fn run(&self, run: RunId) -> BoxFuture<'static, Result<Option<RunRow>, StoreError>>;

    /// Runs by their ids, the last first, at most so many, after this one. Ids grow with time: the newest are first.
    fn runs(
        &self,
        filter: RunFilter,
        after: Option<RunId>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<RunRow>, StoreError>>;

    /// The items of a run by index, at most so many, after this one; none when there is no such run.
    fn items(
        &self,
        run: RunId,
        after: Option<u32>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<ItemRow>, StoreError>>;

    /// The steps of an item that have events, in the order of the flow.
    fn steps(&self, run: RunId, item: u32) -> BoxFuture<'static, Result<Vec<StepRow>, StoreError>>;

    /// The attempts of a step, by number. Control flow has none.
    fn attempts(&self, run: RunId, item: u32, step: u32) -> BoxFuture<'static, Result<Vec<AttemptRow>, StoreError>>;

    /// The plan of a run, with its overrides.
    fn plan(&self, run: RunId) -> BoxFuture<'static, Result<Option<Arc<Plan>>, StoreError>>;

    /// Flows, the newest first, at most so many, after the one of this time and id.
    fn flows(
        &self,
        after: Option<(Timestamp, FlowId)>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<FlowRow>, StoreError>>;
}

/// Keeps flows before a run uses them. The flow of a run enters the store with the run, through its journal.
pub trait Flows: Send + Sync {
    /// Keeps a flow under its id, without overrides. If it is kept already, it stays unchanged, with its time.
    fn put(&self, plan: Arc<Plan>, at: Timestamp) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// The items of a run in the requested order of results. Items that have not ended come last.
#[must_use]
pub fn in_order(mut items: Vec<ItemRow>, order: ResultOrder) -> Vec<ItemRow> {
    match order {
        ResultOrder::ByIndex => items.sort_by_key(|item| item.item),
        ResultOrder::ByCompletion => items.sort_by_key(|item| (Reverse(item.ended_at.is_some()), item.ended_at)),
    }
    items
}
