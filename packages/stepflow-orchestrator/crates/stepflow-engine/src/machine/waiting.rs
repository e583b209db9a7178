//! Attempts that wait for a run. They hold no slot of the tree meanwhile.
//!
//! This is not recorded: it is not a part of the run's state, and a new owner has no attempts that could wait.

use std::collections::HashMap;

use stepflow_protocol::RunId;

use super::state::RunTree;
use crate::event::TaskRef;

/// The steps that wait for results.
#[derive(Debug, Default)]
pub struct Waiting {
    tasks: HashMap<TaskRef, Waits>,
    by_run: HashMap<RunId, u32>,
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
