//! Attempts that wait for a run. They hold no slot of the tree meanwhile.
//!
//! This is not recorded: it is not a part of the run's state, and a new owner has no attempts that could wait.

use std::collections::{BTreeMap, HashMap, VecDeque};

use stepflow_protocol::RunId;

use super::state::RunTree;
use crate::event::TaskRef;

/// The steps that wait for results.
#[derive(Debug, Default)]
pub struct Waiting {
    tasks: HashMap<TaskRef, Waits>,
    by_run: HashMap<RunId, u32>,
    /// Those whose runs have ended and that need a slot to go on: of each run, in order.
    returning: BTreeMap<RunId, VecDeque<TaskRef>>,
}

/// An attempt may wait for several runs at once.
#[derive(Debug)]
struct Waits {
    run: RunId,
    count: u32,
}

impl Waiting {
    /// The attempt waits for one more run, if it is open.
    pub(super) fn begin(&mut self, state: &RunTree, task: TaskRef) {
        let Some(at) = state.step_of(task) else { return };
        let waits = self.tasks.entry(task).or_insert_with(|| {
            *self.by_run.entry(at.run).or_default() += 1;
            Waits { run: at.run, count: 0 }
        });
        waits.count += 1;
    }

    /// The attempt would go on. False if it is not known to wait.
    pub(super) fn return_to_work(&mut self, task: TaskRef) -> bool {
        let Some(waits) = self.tasks.get(&task) else { return false };
        self.returning.entry(waits.run).or_default().push_back(task);
        true
    }

    /// The attempts that can go on because there are slots for them: from now on they count again. An attempt holds
    /// nothing while it waits for its slot, and those that have one never wait with it. So all get theirs at some time.
    pub(super) fn let_back(&mut self, state: &RunTree) -> Vec<TaskRef> {
        let mut back = Vec::new();
        let runs: Vec<RunId> = self.returning.keys().copied().collect();
        for run in runs {
            while let Some(task) = self.first_with_slot(state, run) {
                self.returning.get_mut(&run).map(VecDeque::pop_front);
                self.end(task);
                back.push(task);
            }
            if self.returning.get(&run).is_some_and(VecDeque::is_empty) {
                self.returning.remove(&run);
            }
        }
        back
    }

    /// The attempt of this run that goes on next, if there is a slot for it. One that has begun to wait for another run
    /// needs none.
    fn first_with_slot(&self, state: &RunTree, run: RunId) -> Option<TaskRef> {
        let task = *self.returning.get(&run)?.front()?;
        let waits_still = self.tasks.get(&task).is_some_and(|waits| waits.count > 1);
        (waits_still || self.free_slots(state) > 0 && self.free_slots_of(state, run) > 0).then_some(task)
    }

    /// All that would go on. The tree has a new owner, and slots are counted anew.
    pub(super) fn take_all(&mut self) -> Vec<TaskRef> {
        std::mem::take(self).returning.into_values().flatten().collect()
    }

    /// The attempt needs no slot to go on, because its step has ended. True if it was about to return.
    pub(super) fn release(&mut self, task: TaskRef) -> bool {
        let Some(run) = self.tasks.get(&task).map(|waits| waits.run) else { return false };
        let returns = self.stop_returning(run, task);
        (0..returns).for_each(|_| self.end(task));
        returns > 0
    }

    fn stop_returning(&mut self, run: RunId, task: TaskRef) -> usize {
        let Some(of_run) = self.returning.get_mut(&run) else { return 0 };
        let before = of_run.len();
        of_run.retain(|other| *other != task);
        let removed = before - of_run.len();
        if of_run.is_empty() {
            self.returning.remove(&run);
        }
        removed
    }

    /// The attempt waits for one run less.
    pub(super) fn end(&mut self, task: TaskRef) {
        let Some(waits) = self.tasks.get_mut(&task) else { return };
        waits.count -= 1;
        if waits.count == 0 {
            self.forget(task);
        }
    }

    /// The attempt has ended.
    pub(super) fn forget(&mut self, task: TaskRef) {
        let Some(waits) = self.tasks.remove(&task) else { return };
        self.stop_returning(waits.run, task);
        if let Some(of_run) = self.by_run.get_mut(&waits.run) {
            *of_run -= 1;
            if *of_run == 0 {
                self.by_run.remove(&waits.run);
            }
        }
    }

    /// How many attempts of the tree wait.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::try_from(self.tasks.len()).unwrap_or(u32::MAX)
    }

    /// How many more attempts of the tree may be opened.
    pub(super) fn free_slots(&self, state: &RunTree) -> usize {
        free(state.limit, state.open, self.total())
    }

    /// How many more attempts of this run may be opened, the tree's limit aside.
    pub(super) fn free_slots_of(&self, state: &RunTree, id: RunId) -> usize {
        let waiting = self.by_run.get(&id).copied().unwrap_or(0);
        state.runs.get(&id).map_or(0, |run| free(run.limit, run.open, waiting))
    }
}

fn free(limit: u32, open: u32, waiting: u32) -> usize {
    limit.saturating_sub(open.saturating_sub(waiting)) as usize
}
