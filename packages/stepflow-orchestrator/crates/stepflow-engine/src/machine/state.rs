//! The state of a run tree: what its journal says, and nothing else.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use stepflow_protocol::{ExecutionStatus, FlowError, FlowId, RunId, TaskId, Value};

use super::decide::Input;
use crate::event::{AttemptOutcome, Nested, Outcome, Reason, Route, StepRef, TaskRef, ValueRef};

/// About what a step takes beside its own fields: attempts, the place in maps, what is owed for it.
const STEP_EXTRAS: usize = 512;

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
    /// Whether somebody asked for the end: nothing is scheduled any more.
    pub cancel_asked: bool,
    /// The runs.
    pub runs: BTreeMap<RunId, Run>,
    /// Where each task belongs that may still be spoken of.
    pub tasks: HashMap<TaskId, StepRef>,
    /// The newest sub-run of each key of each open step.
    pub keyed: HashMap<(StepRef, String), RunId>,
    /// What is owed to the world, by the sequence of the event that made it so.
    pub(super) owed: BTreeMap<OwedKey, Effect>,
    /// The due times that are over since somebody asked.
    pub(super) settled: Settled,
}

/// The sequences of due times that are over. No part of the state: two trees are equal whatever it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Settled(pub Vec<u64>);

impl PartialEq for Settled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The event and, where one event owes several effects, their order.
pub(super) type OwedKey = (u64, u32);

/// Something that must be done outside, once the event that decided it is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Offer the attempt to its host.
    Offer {
        /// The attempt.
        task: TaskRef,
        /// The step.
        step: StepRef,
        /// Its host.
        route: Route,
        /// Its input.
        input: ValueRef,
        /// Why it was scheduled.
        reason: Reason,
    },
    /// Come back to the step at this time.
    Wake {
        /// The step.
        step: StepRef,
        /// The time.
        due_at: Timestamp,
    },
    /// Tell the host that the attempt's answer is not needed any more.
    Cancel {
        /// The attempt.
        task: TaskRef,
        /// Its host.
        route: Route,
    },
    /// End the run at this time.
    Deadline {
        /// The run.
        run: RunId,
        /// The time.
        due_at: Timestamp,
    },
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
    /// How many runs directly below it have not ended.
    pub below: u32,
    /// How many runs directly below it may still be spoken of: their errors hide its secrets.
    pub spoken_of: u32,
    /// The name under which its parent's next attempt finds it.
    pub key: Option<String>,
    /// Its parent's newest attempt when it was made.
    pub made_in: u32,
    /// What its parent wants of it.
    pub nested: Option<Nested>,
    /// How many of its attempts may be open at once.
    pub limit: u32,
    /// How many are.
    pub open: u32,
    /// The variables, an object.
    pub variables: Option<Value>,
    /// What is changed in the flow's steps for this run.
    pub overrides: Option<Value>,
    /// When it has to be done.
    pub deadline_at: Option<Timestamp>,
    /// How far it is.
    pub status: ExecutionStatus,
    /// The items, by index.
    pub items: Vec<Item>,
    /// How many items have not ended.
    pub unended: u32,
    /// Whether an item failed.
    pub failed: bool,
}

/// One input of a run on its way to an output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    /// The end, when there is one.
    pub end: Option<ItemEnd>,
    /// The steps of which something has happened; of an ended item only those with open attempts.
    pub steps: BTreeMap<u32, Step>,
}

/// How an item ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemEnd {
    /// How far it came.
    pub status: ExecutionStatus,
    /// Its output or error.
    pub result: Outcome,
}

/// A step of an item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Names the step's attempts, from its first one on.
    pub task: Option<TaskId>,
    /// The attempts, in order, until the step has ended and none is open.
    pub attempts: Vec<Attempt>,
    /// The input of its attempts.
    pub input: Option<ValueRef>,
    /// Where it stands.
    pub phase: Phase,
    /// How many retries the transport's budget has paid.
    pub transport_retries: u32,
    /// How many retries `onError` has paid.
    pub component_retries: u32,
    /// How many owners in a row were lost while it was open.
    pub owners_lost: u32,
    /// How many attempts shared the crash that its last attempt is suspected of; 0: it is not.
    pub suspects: u32,
    /// Why its last attempt, or its last sub-run, failed, for as long as another one follows.
    pub failure: Option<FlowError>,
    /// Its last attempt that asked for a new sub-run.
    pub asked_in: u32,
    /// How many of its attempts asked for a new sub-run, were lost, and spent nothing.
    pub lost_afresh: u32,
    /// How many sub-runs it has begun; of control flow, in its newest try.
    pub sub_runs: u32,
    /// Whether the time that it waits for is its timeout.
    pub times_out: bool,
    /// The end, when there is one.
    pub result: Option<Outcome>,
}

/// Where a step stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Phase {
    /// Never scheduled.
    #[default]
    Idle,
    /// Its newest attempt is open.
    Open,
    /// Another attempt follows, not before its time.
    Retrying {
        /// The time.
        due_at: Timestamp,
        /// Why.
        reason: Reason,
        /// The wake-up that is owed.
        owed: Option<(u64, u32)>,
    },
    /// It waits for the end of a sub-run.
    Nested(RunId),
    /// It waits for a time.
    Sleeping {
        /// The wake-up that is owed.
        owed: (u64, u32),
    },
    /// It has ended.
    Ended,
}

/// One try of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Where it went.
    pub route: Route,
    /// How far it is.
    pub state: AttemptState,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttemptState {
    /// Offered, or to be offered. Its offer or its cancellation is owed under this key.
    Open((u64, u32)),
    /// Open when the owner changed: its answer may still come, nobody waits for it.
    Displaced,
    /// Ended.
    Ended(AttemptOutcome),
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
            cancel_asked: false,
            runs: BTreeMap::new(),
            tasks: HashMap::new(),
            keyed: HashMap::new(),
            owed: BTreeMap::new(),
            settled: Settled::default(),
        }
    }

    /// The wall time that the event of this sequence decided, if it is not over, with what is to be told then.
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

    /// About how many bytes the state takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let items = self.runs.values().map(|run| run.items.len()).sum::<usize>();
        let steps = self.runs.values().flat_map(|run| &run.items).map(|item| item.steps.len()).sum::<usize>();
        self.runs.len() * size_of::<Run>() + items * size_of::<Item>() + steps * (size_of::<Step>() + STEP_EXTRAS)
    }

    /// The sequences of the due times that are over since the last call.
    pub fn take_settled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.settled.0)
    }

    /// The step, if anything has happened to it.
    #[must_use]
    pub fn step(&self, at: StepRef) -> Option<&Step> {
        self.runs.get(&at.run)?.items.get(at.item as usize)?.steps.get(&at.step)
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

    /// The sub-run that an attempt of the step finds under this key. One that failed or was cancelled is to be made
    /// anew, or no attempt could do better than the one before; but not when all who could hear of it were lost.
    #[must_use]
    pub fn found(&self, step: StepRef, key: &str) -> Option<RunId> {
        let id = *self.keyed.get(&(step, key.to_owned()))?;
        let run = self.runs.get(&id)?;
        let good = matches!(run.status, ExecutionStatus::Running | ExecutionStatus::Completed);
        (good || self.step(step)?.is_unheard(run.made_in)).then_some(id)
    }

    /// The step of which this attempt is open, and wanted.
    #[must_use]
    pub fn step_of(&self, task: TaskRef) -> Option<StepRef> {
        let at = *self.tasks.get(&task.task_id)?;
        let step = self.step(at)?;
        let open = matches!(step.attempt(task.attempt)?.state, AttemptState::Open(_));
        (open && step.phase != Phase::Ended).then_some(at)
    }

    /// The runs below this one that may be open, and this one, the deepest last.
    #[must_use]
    pub fn with_descendants(&self, run: RunId) -> Vec<RunId> {
        let mut found = vec![run];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            if self.runs.get(&parent).is_some_and(|run| run.below > 0) {
                found.extend(self.runs.iter().filter(|(_, run)| run.above == Some(parent)).map(|(id, _)| *id));
            }
            at += 1;
        }
        found
    }

    /// Why a step of this item, or of a flow that one of its steps runs, is being tried again.
    #[must_use]
    pub fn cause<'a>(&'a self, item: &'a Item) -> Option<&'a FlowError> {
        item.steps.values().find_map(|step| match step.phase {
            Phase::Nested(run) => self.cause_in(run).or(step.failure.as_ref()),
            _ => step.failure.as_ref(),
        })
    }

    /// The same of any item of the run.
    #[must_use]
    pub fn cause_in(&self, run: RunId) -> Option<&FlowError> {
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

impl Step {
    /// The newest attempt's number, 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// The attempt of this number.
    #[must_use]
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.get((number as usize).checked_sub(1)?)
    }

    /// Whether this attempt and all others before the newest one were lost.
    fn is_unheard(&self, since: u32) -> bool {
        let lost = |attempt: &Attempt| {
            matches!(attempt.state, AttemptState::Displaced | AttemptState::Ended(AttemptOutcome::Lost))
        };
        since < self.newest() && (since..self.newest()).all(|number| self.attempt(number).is_some_and(lost))
    }

    /// Whether an attempt is open.
    #[must_use]
    pub fn is_attempted(&self) -> bool {
        self.attempts.iter().any(|attempt| matches!(attempt.state, AttemptState::Open(_)))
    }
}

/// Everything that is owed, with the sequences of the events that made it so: what recovery carries out. Live running
/// carries out its difference.
pub fn outstanding(state: &RunTree) -> impl Iterator<Item = (u64, Effect)> {
    state.owed.iter().map(|((seq, _), effect)| (*seq, effect.clone()))
}

/// What became owed by the events after `after`, up to and including `upto`.
pub fn owed_between(state: &RunTree, after: u64, upto: u64) -> impl Iterator<Item = (u64, Effect)> {
    let range = (after.saturating_add(1), 0)..=(upto, u32::MAX);
    // An empty interval is legal here, and BTreeMap would panic on it.
    let owed = (after < upto).then(|| state.owed.range(range)).into_iter().flatten();
    owed.map(|((seq, _), effect)| (*seq, effect.clone()))
}
