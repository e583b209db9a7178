//! What is to be decided next: steps that are ready or have failed, waits and sub-runs that are over, items and runs
//! that end or are complete.
//!
//! It is computed from the state. So a machine that is built from a journal continues like the machine that wrote the
//! journal. It is kept because computing it again means to look at every item.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use stepflow_protocol::{FlowError, RunId};

use super::frontier::{Doom, Frontier, ItemRef, Known};
use super::size::{Heap, map};
use super::state::{Run, RunTree};
use super::step::{Phase, Step};
use super::surroundings::{Missing, Surroundings, plan_of};
use super::waiting::Waiting;
use crate::event::{Event, Outcome, Reason, StepRef, ValueRef};

/// How many steps an opened item is expected to have.
const USUAL_STEPS: usize = 8;

/// What is to be decided next.
#[derive(Debug, Default)]
pub struct Agenda {
    /// The items that are open, and what their expressions wait for.
    frontier: Frontier,
    /// Items that are to be opened.
    unseen: BTreeSet<ItemRef>,
    /// The first item that has not been opened, of each open run that has one.
    unopened: BTreeMap<RunId, u32>,
    /// Steps that can begin: of each run, by item and step.
    ready: BTreeMap<RunId, BTreeMap<(u32, u32), Ready>>,
    /// Steps whose input failed.
    doomed: BTreeMap<StepRef, Doom>,
    /// Steps whose wait is over.
    rested: BTreeSet<StepRef>,
    /// Steps that wait for a sub-run that has ended.
    returned: BTreeMap<StepRef, RunId>,
    /// Items whose output is known and whose `mustExecute` steps have ended.
    finished: BTreeMap<ItemRef, Result<ValueRef, FlowError>>,
    /// Runs whose items have all ended.
    complete: BTreeSet<RunId>,
    /// Runs that are being ended.
    ending: BTreeSet<RunId>,
    /// Runs that had no time from the beginning. No timer tells of them before their steps begin.
    overdue: BTreeSet<RunId>,
}

/// A step that can begin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ready {
    /// Its input.
    pub input: ValueRef,
    /// Why.
    pub reason: Reason,
}

impl Agenda {
    /// What is to be decided next in this state.
    pub(super) fn of(state: &RunTree) -> Self {
        let mut agenda = Self::default();
        for (id, run) in &state.runs {
            if let Some((at, _)) = awaited(state, *id) {
                agenda.returned.insert(at, *id);
            }
            if !run.status.is_terminal() {
                agenda.add(*id, run);
            }
        }
        agenda
    }

    fn add(&mut self, id: RunId, run: &Run) {
        if !run.items.is_empty() {
            self.unopened.insert(id, 0);
        }
        if run.unended == 0 {
            self.complete.insert(id);
        }
        if run.ending.is_some() {
            self.ending.insert(id);
        }
        for (index, item) in (0_u32..).zip(&run.items).filter(|(_, item)| item.end.is_none()) {
            for (place, step) in &item.steps {
                if let Phase::Retrying { owed: None, .. } = step.phase {
                    self.can_begin(StepRef { run: id, item: index, step: *place }, step);
                }
            }
            let waits = item.steps.values().any(|step| !matches!(step.phase, Phase::Idle | Phase::Ended));
            // The waiting ones are opened when their wait is over, or when there is room for more.
            if !item.steps.is_empty() && !waits {
                self.unseen.insert((id, index));
            }
        }
    }

    /// Takes note of an event that was folded.
    pub(super) fn absorb(&mut self, state: &RunTree, event: &Event, now: Timestamp) {
        match event {
            Event::RunCreated(created) => {
                if let Some(run) = state.runs.get(&created.run) {
                    self.add(created.run, run);
                    if run.unended > 0 && run.deadline_at.is_some_and(|due_at| due_at <= now) {
                        self.overdue.insert(created.run);
                    }
                }
                if let Some(parent) = created.parent {
                    self.begins(parent);
                    self.returned.remove(&parent);
                }
            }
            Event::TimerStarted(timer) => self.begins(timer.step),
            Event::StepScheduled(scheduled) => self.begins(scheduled.step),
            Event::RetryScheduled(retry) if retry.due_at <= now => {
                if let Some(step) = state.tasks.get(&retry.task.task_id) {
                    self.wake(state, *step);
                }
            }
            Event::StepRetryScheduled(retry) => {
                self.rested.remove(&retry.step);
                self.returned.remove(&retry.step);
                if retry.due_at <= now {
                    self.wake(state, retry.step);
                }
            }
            Event::StepEnded(ended) => {
                if ended.defaulted || matches!(ended.result, Outcome::Failed(_)) {
                    let orphaned = state.step(ended.step).into_iter().flat_map(|step| &step.runs);
                    self.ending.extend(orphaned.filter(|run| state.is_open(**run)));
                }
                self.step_ended(ended.step);
            }
            Event::StepReused(ended) => self.step_ended(ended.step),
            Event::StepEndedFromOutside(ended) => self.step_ended(ended.step),
            Event::ItemEnded(ended) => {
                self.forget_item((ended.run, ended.item));
                if let Some(run) = state.runs.get(&ended.run).filter(|run| run.unended == 0) {
                    self.complete.insert(ended.run);
                    self.ending.extend(&run.below);
                }
            }
            Event::CancelAsked(asked) => self.ends(state, asked.run.unwrap_or(state.root)),
            Event::DeadlineReached(reached) => self.ends(state, reached.run),
            Event::RunEnded(ended) => {
                self.forget_run(ended.run);
                if let Some((at, _)) = awaited(state, ended.run) {
                    self.returned.insert(at, ended.run);
                }
            }
            Event::OwnerChanged(_) => *self = Self::of(state),
            Event::AttemptEnded(_) | Event::RetryScheduled(_) | Event::TimerFired(_) => {}
        }
    }

    /// The step's time has come.
    pub(super) fn wake(&mut self, state: &RunTree, at: StepRef) {
        let Some(step) = state.step(at) else { return };
        self.can_begin(at, step);
        if matches!(step.phase, Phase::Sleeping { .. }) {
            self.rested.insert(at);
        }
    }

    /// The ready steps that the limits of their runs allow, in order, at most so many.
    pub(super) fn choose(&self, state: &RunTree, waiting: &Waiting, most: usize) -> Vec<(StepRef, Ready)> {
        let fitting = self.ready.iter().flat_map(|(run, steps)| {
            let of_run = steps.iter().take(waiting.free_slots_of(state, *run));
            of_run.map(|((item, step), ready)| (StepRef { run: *run, item: *item, step: *step }, ready.clone()))
        });
        fitting.take(most).collect()
    }

    /// The next items that were not opened yet, if fewer steps are ready than there is room for. Items of the deepest
    /// run come first. They are fewer than there is room for, because each may bring several steps.
    pub(super) fn next_unopened(&mut self, state: &RunTree, waiting: &Waiting, room: usize) -> Vec<ItemRef> {
        let mut left = room;
        for (run, steps) in &self.ready {
            left = left.saturating_sub(steps.len().min(waiting.free_slots_of(state, *run)));
            if left == 0 {
                break;
            }
        }
        let mut most = left.div_ceil(USUAL_STEPS);
        let (mut found, mut opened) = (Vec::new(), Vec::new());
        for (id, next) in self.unopened.iter_mut().rev() {
            if most == 0 {
                break;
            }
            let Some(run) = state.runs.get(id) else { continue };
            let ready = self.ready.get(id).map_or(0, BTreeMap::len);
            let mut of_run = waiting.free_slots_of(state, *id).saturating_sub(ready).div_ceil(USUAL_STEPS).min(most);
            while let Some(item) = run.items.get(*next as usize).filter(|_| of_run > 0) {
                if item.end.is_none() && !self.frontier.has((*id, *next)) {
                    found.push((*id, *next));
                    of_run -= 1;
                    most -= 1;
                }
                *next += 1;
            }
            if *next as usize >= run.items.len() {
                opened.push(*id);
            }
        }
        for run in opened {
            self.unopened.remove(&run);
        }
        found
    }

    /// Opens the items: looks for steps that are ready or have begun in them.
    pub(super) fn open(&mut self, items: Vec<ItemRef>) {
        self.unseen.extend(items);
    }

    /// Looks at every expression whose value may be known now.
    ///
    /// # Errors
    /// The values that must be in memory for it. Expressions that were looked at before are not looked at again.
    pub(super) fn explore(&mut self, state: &RunTree, world: &dyn Surroundings) -> Result<(), Missing> {
        while let Some(at) = self.unseen.first().copied() {
            if is_open(state, at) {
                let plan = plan_of(world, state, at.0)?;
                self.frontier.open(state, &plan, at);
            }
            self.unseen.remove(&at);
        }
        let mut known = Vec::new();
        let explored = self.frontier.explore(state, world, &mut known);
        for known in known {
            match known {
                Known::Input(at, input) => self.is_ready(at, Ready { input, reason: Reason::First }),
                Known::Doomed(at, doom) => drop(self.doomed.insert(at, doom)),
                Known::Output(at, output) => drop(self.finished.insert(at, output)),
            }
        }
        explored
    }

    /// The steps whose wait is over.
    pub(super) fn rested(&self) -> impl Iterator<Item = StepRef> {
        self.rested.iter().copied()
    }

    /// The sub-runs that have ended and whose parents wait for them.
    pub(super) fn returned(&self) -> impl Iterator<Item = RunId> {
        self.returned.values().copied()
    }

    /// The steps that cannot run.
    pub(super) fn doomed(&self) -> impl Iterator<Item = (StepRef, &Doom)> {
        self.doomed.iter().map(|(at, doom)| (*at, doom))
    }

    /// The items whose output is known and whose `mustExecute` steps have ended.
    pub(super) fn finished(&self) -> impl Iterator<Item = (ItemRef, &Result<ValueRef, FlowError>)> {
        self.finished.iter().map(|(at, output)| (*at, output))
    }

    /// The runs whose items have all ended.
    pub(super) fn complete(&self) -> impl Iterator<Item = RunId> {
        self.complete.iter().copied()
    }

    /// The runs that had no time from the beginning.
    pub(super) fn overdue(&self) -> impl Iterator<Item = RunId> {
        self.overdue.iter().copied()
    }

    /// The runs that are being ended.
    pub(super) fn ending(&self) -> impl Iterator<Item = RunId> {
        self.ending.iter().copied()
    }

    fn is_ready(&mut self, at: StepRef, ready: Ready) {
        self.ready.entry(at.run).or_default().insert((at.item, at.step), ready);
    }

    /// Another attempt of the step can begin, if it waits for one.
    fn can_begin(&mut self, at: StepRef, step: &Step) {
        if let (Phase::Retrying { reason, .. }, Some(input)) = (&step.phase, &step.input) {
            self.is_ready(at, Ready { input: input.clone(), reason: *reason });
        }
    }

    fn begins(&mut self, at: StepRef) {
        let Some(of_run) = self.ready.get_mut(&at.run) else { return };
        of_run.remove(&(at.item, at.step));
        if of_run.is_empty() {
            self.ready.remove(&at.run);
        }
    }

    fn step_ended(&mut self, at: StepRef) {
        self.begins(at);
        self.returned.remove(&at);
        self.doomed.remove(&at);
        self.rested.remove(&at);
        if !self.frontier.step_ended(at) {
            self.unseen.insert((at.run, at.item));
        }
    }

    fn ends(&mut self, state: &RunTree, run: RunId) {
        if state.is_open(run) {
            self.ending.insert(run);
        }
    }

    /// Removes an item that has ended. If it was closed before its end, it may have steps that had not begun.
    fn forget_item(&mut self, at: ItemRef) {
        let (run, item) = at;
        self.frontier.forget(at);
        self.unseen.remove(&at);
        self.finished.remove(&at);
        if let Some(of_run) = self.ready.get_mut(&run) {
            of_run.extract_if((item, 0)..=(item, u32::MAX), |_, _| true).for_each(drop);
            if of_run.is_empty() {
                self.ready.remove(&run);
            }
        }
        self.forget_steps(StepRef { run, item, step: 0 }, StepRef { run, item, step: u32::MAX });
    }

    /// Removes a run that has ended, with the items that have no event for their end.
    fn forget_run(&mut self, run: RunId) {
        self.unopened.remove(&run);
        self.complete.remove(&run);
        self.ending.remove(&run);
        self.overdue.remove(&run);
        self.ready.remove(&run);
        self.frontier.forget_run(run);
        self.unseen.extract_if((run, 0)..=(run, u32::MAX), |_| true).for_each(drop);
        self.finished.extract_if((run, 0)..=(run, u32::MAX), |_, _| true).for_each(drop);
        self.forget_steps(StepRef { run, item: 0, step: 0 }, StepRef { run, item: u32::MAX, step: u32::MAX });
    }

    fn forget_steps(&mut self, first: StepRef, last: StepRef) {
        self.doomed.extract_if(first..=last, |_, _| true).for_each(drop);
        self.rested.extract_if(first..=last, |_| true).for_each(drop);
        self.returned.extract_if(first..=last, |_, _| true).for_each(drop);
    }
}

impl Heap for Agenda {
    /// Of an idle tree, the rest is empty.
    fn heap(&self) -> usize {
        let ready: usize = self.ready.values().flat_map(BTreeMap::values).map(|ready| ready.input.heap()).sum();
        let steps: usize = self.ready.values().map(map).sum();
        self.frontier.heap() + map(&self.unopened) + map(&self.ready) + steps + ready
    }
}

fn is_open(state: &RunTree, at: ItemRef) -> bool {
    let item = state.runs.get(&at.0).and_then(|run| run.items.get(at.1 as usize));
    state.is_open(at.0) && item.is_some_and(|item| item.end.is_none())
}

/// The step that waits for this run, which has ended.
fn awaited(state: &RunTree, id: RunId) -> Option<(StepRef, &Step)> {
    let at = state.runs.get(&id).filter(|run| run.status.is_terminal())?.parent?;
    let step = state.step(at)?;
    (step.phase == Phase::Nested(id)).then_some((at, step))
}
