//! The state of a run tree: everything that follows from its journal, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use stepflow_protocol::{ExecutionStatus, FlowError, FlowId, RunId, TaskId, Value};

use super::effect::{Effect, OwedKey};
use super::input::Input;
use super::step::{AttemptState, Phase, Step};
use crate::event::{Nested, Outcome, StepRef, TaskRef};

/// A root run and its sub-runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTree {
    /// The root run, which names the tree.
    pub root: RunId,
    /// The sequence of the last event.
    pub seq: u64,
    /// The number of the owner.
    pub epoch: u64,
    /// How many attempts may be open at once.
    pub limit: u32,
    /// How many are.
    pub open: u32,
    /// The runs.
    pub runs: BTreeMap<RunId, Run>,
    /// The steps of the tasks that events may still refer to.
    pub tasks: HashMap<TaskId, StepRef>,
    /// The newest sub-run of each key of each open step.
    pub keyed: HashMap<(StepRef, String), RunId>,
    /// The effects that are due, by the sequence of the event that caused them.
    pub(super) owed: BTreeMap<OwedKey, Effect>,
    /// The due times that are over since the last call.
    pub(super) settled: Settled,
}

/// The sequences of due times that are over. They are not a part of the state: trees that differ only here are equal.
#[derive(Debug, Clone, Default)]
pub(super) struct Settled(pub Vec<u64>);

impl PartialEq for Settled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// One flow over its items.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The flow.
    pub flow_id: FlowId,
    /// The step that submitted it.
    pub parent: Option<StepRef>,
    /// The run above it; none for the root.
    pub above: Option<RunId>,
    /// The runs directly below it that have not ended.
    pub below: BTreeSet<RunId>,
    /// The name under which its parent's next attempt finds it.
    pub key: Option<String>,
    /// Its parent's newest attempt when it was made.
    pub made_in: u32,
    /// What its parent does with its results.
    pub nested: Option<Nested>,
    /// How many of its attempts may be open at once.
    pub limit: u32,
    /// How many are.
    pub open: u32,
    /// The variables, an object.
    pub variables: Option<Value>,
    /// What is changed in the flow's steps for this run.
    pub overrides: Option<Value>,
    /// The version of the flow language's rules for it.
    pub semantics: u32,
    /// Its deadline.
    pub deadline_at: Option<Timestamp>,
    /// The timer of its deadline.
    pub(super) deadline: Option<OwedKey>,
    /// How far it is.
    pub status: ExecutionStatus,
    /// Why everything open in it and below it is being ended, if it does not end by itself.
    pub ending: Option<Ending>,
    /// Of a run that has ended: how those items ended that have no event for their end.
    pub error: Option<FlowError>,
    /// The items, by index.
    pub items: Vec<Item>,
    /// How many items have not ended.
    pub unended: u32,
    /// Whether an item failed.
    pub failed: bool,
}

/// Why a run is being ended. It is a part of the state: what is still open is found again for every append.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Somebody asked for it.
    Cancelled {
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// It took longer than its flow allows.
    TimedOut,
    /// The step around it took longer than it may.
    StepTimedOut {
        /// Why one of its own steps was being retried.
        cause: Option<FlowError>,
    },
    /// The step that submitted it has failed, or has got its default.
    Orphaned,
    /// Every item of the run above it has ended.
    Outlived,
}

/// One input of a run on its way to an output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    /// The end, when there is one.
    pub end: Option<ItemEnd>,
    /// The steps with events; of an ended item only those with open attempts. Boxed, because a map takes room for
    /// several at once.
    pub steps: BTreeMap<u32, Box<Step>>,
}

impl Item {
    /// Frees the memory of an empty map.
    pub(super) fn shrink(&mut self) {
        if self.steps.is_empty() {
            self.steps = BTreeMap::new();
        }
    }
}

/// How an item ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemEnd {
    /// How far it came.
    pub status: ExecutionStatus,
    /// Its output or error.
    pub result: Outcome,
}

impl RunTree {
    /// The tree before its first event.
    #[must_use]
    pub fn new(root: RunId) -> Self {
        Self {
            root,
            seq: 0,
            epoch: 0,
            limit: 0,
            open: 0,
            runs: BTreeMap::new(),
            tasks: HashMap::new(),
            keyed: HashMap::new(),
            owed: BTreeMap::new(),
            settled: Settled::default(),
        }
    }

    /// The wall time that the event of this sequence decided, if it is not over, with the input for that time.
    #[must_use]
    pub fn due(&self, seq: u64) -> Option<(Timestamp, Input)> {
        match self.owed.get(&(seq, 0))? {
            Effect::Wake { step, due_at } => Some((*due_at, Input::Due(*step))),
            Effect::Deadline { run, due_at } => Some((*due_at, Input::DeadlineReached(*run))),
            Effect::Offer { .. } | Effect::Cancel { .. } => None,
        }
    }

    /// The first wall time that the tree waits for.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.owed.values().filter_map(|effect| match effect {
            Effect::Wake { due_at, .. } | Effect::Deadline { due_at, .. } => Some(*due_at),
            Effect::Offer { .. } | Effect::Cancel { .. } => None,
        });
        due.min()
    }

    /// The sequences of the due times that are over since the last call.
    pub fn take_settled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.settled.0)
    }

    /// The step, if it has events.
    #[must_use]
    pub fn step(&self, at: StepRef) -> Option<&Step> {
        self.runs.get(&at.run)?.items.get(at.item as usize)?.steps.get(&at.step).map(|step| &**step)
    }

    /// Whether the root run has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.runs.get(&self.root).is_some_and(|run| run.status.is_terminal())
    }

    /// Whether this run is there and has not ended.
    #[must_use]
    pub fn is_open(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| !run.status.is_terminal())
    }

    /// The sub-run that an attempt of the step finds under this key. A sub-run that failed or was cancelled is not
    /// found but made again, because otherwise no attempt could succeed. But it is found if all attempts that could
    /// have got its end were lost.
    #[must_use]
    pub fn found(&self, step: StepRef, key: &str) -> Option<RunId> {
        let id = *self.keyed.get(&(step, key.to_owned()))?;
        let run = self.runs.get(&id)?;
        let good = matches!(run.status, ExecutionStatus::Running | ExecutionStatus::Completed);
        (good || self.step(step)?.is_unheard(run.made_in)).then_some(id)
    }

    /// The step whose attempt this is, if the attempt is open and wanted.
    #[must_use]
    pub fn step_of(&self, task: TaskRef) -> Option<StepRef> {
        let at = *self.tasks.get(&task.task_id)?;
        let step = self.step(at)?;
        let open = matches!(step.attempt(task.attempt)?.state, AttemptState::Open(_));
        (open && step.phase != Phase::Ended).then_some(at)
    }

    /// Why this run is being ended, or the nearest run above it.
    #[must_use]
    pub fn ending(&self, run: RunId) -> Option<&Ending> {
        let mut runs = std::iter::successors(self.runs.get(&run), |run| self.runs.get(&run.above?));
        runs.find_map(|run| run.ending.as_ref())
    }

    /// The version of the flow language's rules for the tree.
    #[must_use]
    pub fn semantics(&self) -> u32 {
        self.runs.get(&self.root).map_or(1, |root| root.semantics)
    }

    /// Whether somebody has asked to end the whole tree.
    #[must_use]
    pub fn is_cancel_asked(&self) -> bool {
        matches!(self.runs.get(&self.root).and_then(|run| run.ending.as_ref()), Some(Ending::Cancelled { .. }))
    }

    /// Why a step of this item, or of a flow that one of its steps runs, is being retried, or was when that flow ended.
    #[must_use]
    pub fn cause(&self, item: &Item) -> Option<FlowError> {
        if let Some(end) = &item.end {
            let Outcome::Failed(error) = &end.result else { return None };
            return error.data.as_ref()?.field("cause")?.deserialize().ok();
        }
        item.steps.values().find_map(|step| match step.phase {
            Phase::Nested(run) => self.cause_in(run).or_else(|| step.failure.clone()),
            Phase::Ended => None,
            _ => step.failure.clone(),
        })
    }

    /// The same for any item of the run.
    #[must_use]
    pub fn cause_in(&self, run: RunId) -> Option<FlowError> {
        self.runs.get(&run)?.items.iter().find_map(|item| self.cause(item))
    }

    /// The tasks whose attempts asked for this run and for those above it, the nearest first.
    #[must_use]
    pub fn tasks_above(&self, run: RunId) -> Vec<TaskId> {
        let runs = std::iter::successors(Some(run), |run| self.runs.get(run)?.above);
        runs.filter_map(|run| self.step(self.runs.get(&run)?.parent?)?.task).collect()
    }

    /// How many runs there are above this one.
    #[must_use]
    pub fn depth(&self, run: RunId) -> usize {
        std::iter::successors(Some(run), |run| self.runs.get(run)?.above).count() - 1
    }
}

/// All effects that are due, with the sequences of the events that caused them. Recovery carries out all of them. A
/// running driver carries out the difference.
pub fn outstanding(state: &RunTree) -> impl Iterator<Item = (u64, Effect)> {
    state.owed.iter().map(|((seq, _), effect)| (*seq, effect.clone()))
}

/// The effects of the events after `after`, up to and including `upto`, that are still due.
pub fn owed_between(state: &RunTree, after: u64, upto: u64) -> impl Iterator<Item = (u64, Effect)> {
    let range = (after.saturating_add(1), 0)..=(upto, u32::MAX);
    // An empty range is allowed here, and BTreeMap would panic on it.
    let owed = (after < upto).then(|| state.owed.range(range)).into_iter().flatten();
    owed.map(|((seq, _), effect)| (*seq, effect.clone()))
}
