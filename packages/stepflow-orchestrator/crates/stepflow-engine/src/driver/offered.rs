//! The attempts in the hands of hosts.

use std::collections::BTreeMap;

use stepflow_protocol::{RunId, TaskId};
use uuid::Uuid;

use super::timers::TimerKey;
use crate::event::{Route, TaskRef};
use crate::notice::Notice;

/// An attempt that a host has.
#[derive(Default)]
pub(super) struct Offered {
    /// Its host; `None` for one that was cancelled before it was offered.
    pub route: Option<Route>,
    pub timeout: Option<TimerKey>,
    pub mark: Option<TimerKey>,
    /// Its host holds it back from the worker until it is marked; the number of that.
    pub hold: Option<u64>,
    /// The worker that has it. New subscribers are told this, because it is not in the journal.
    pub started: Option<Notice>,
    /// The event that scheduled it, if it was offered before that was durable.
    pub ahead: Option<u64>,
    /// Whether the host was told that its answer is not needed any more.
    pub cancelled: bool,
}

impl Offered {
    /// Whether a worker of another process has it.
    pub fn has_worker(&self) -> bool {
        matches!(&self.started, Some(Notice::Started { instance: Some(_), .. }))
    }
}

/// Comes before all attempts of a tree.
fn first() -> TaskRef {
    TaskRef { task_id: TaskId::from_uuid(Uuid::nil()), attempt: 0 }
}

/// The attempts that hosts have, those of one tree beside each other. They outlive their trees: a host may still have an
/// attempt that has ended for its run.
#[derive(Default)]
pub(super) struct Offers(BTreeMap<(RunId, TaskRef), Offered>);

impl Offers {
    pub fn insert(&mut self, root: RunId, task: TaskRef, offered: Offered) {
        self.0.insert((root, task), offered);
    }

    pub fn remove(&mut self, root: RunId, task: TaskRef) -> Option<Offered> {
        self.0.remove(&(root, task))
    }

    pub fn contains(&self, root: RunId, task: TaskRef) -> bool {
        self.0.contains_key(&(root, task))
    }

    pub fn get(&self, root: RunId, task: TaskRef) -> Option<&Offered> {
        self.0.get(&(root, task))
    }

    pub fn get_mut(&mut self, root: RunId, task: TaskRef) -> Option<&mut Offered> {
        self.0.get_mut(&(root, task))
    }

    /// What was scheduled after this sequence may be decided in another way: starts of it are not told.
    pub fn forget_ahead(&mut self, root: RunId, durable: u64) {
        let of_tree = self.0.range_mut((root, first())..).take_while(|((of, _), _)| *of == root);
        for (_, offered) in of_tree {
            offered.ahead = offered.ahead.map(|seq| if seq > durable { u64::MAX } else { seq });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of this tree.
    pub fn of(&self, root: RunId) -> impl Iterator<Item = (TaskRef, &Offered)> {
        let from_first = self.0.range((root, first())..);
        from_first.take_while(move |((of, _), _)| *of == root).map(|((_, task), offered)| (*task, offered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempts_of_a_tree_are_found_without_those_of_others() {
        let run = |number: u128| RunId::from_uuid(Uuid::from_u128(number));
        let task = |number: u128, attempt| TaskRef { task_id: TaskId::from_uuid(Uuid::from_u128(number)), attempt };
        let mut offers = Offers::default();
        for (root, at) in [(1, task(1, 1)), (2, task(u128::MAX, 2)), (2, task(0, 1)), (2, task(0, 2)), (3, task(0, 1))]
        {
            offers.insert(run(root), at, Offered::default());
        }
        let found: Vec<TaskRef> = offers.of(run(2)).map(|(task, _)| task).collect();
        assert_eq!(found, [task(0, 1), task(0, 2), task(u128::MAX, 2)]);
        assert_eq!((offers.of(run(0)).count(), offers.of(run(4)).count()), (0, 0));
    }
}
