//! The queue of tasks that wait for a slot: taken in turns over root runs, so that a batch of 100 000 items does not
//! starve its neighbour; inside a root by item, then step, so that the order is a function of the input.

use std::collections::{BTreeMap, HashMap, VecDeque};

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::TaskEnvelope;
use stepflow_protocol::RunId;

/// Item, step, and the order of arrival, which tells apart the steps of a root's sub-runs.
type Place = (u32, u32, u64);

/// Tasks that wait, each root run in its turn.
#[derive(Debug, Default)]
pub struct FairQueue {
    roots: HashMap<RunId, BTreeMap<Place, TaskEnvelope>>,
    turns: VecDeque<RunId>,
    places: HashMap<TaskRef, (RunId, Place)>,
    arrivals: u64,
}

impl FairQueue {
    /// How many tasks wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds a task; a root that had none waits for its turn behind the others.
    pub fn push(&mut self, task: TaskEnvelope) {
        self.arrivals += 1;
        let (root, place) = (task.root_run_id, (task.item, task.step, self.arrivals));
        self.places.insert(task.task, (root, place));
        let tasks = self.roots.entry(root).or_default();
        if tasks.is_empty() {
            self.turns.push_back(root);
        }
        tasks.insert(place, task);
    }

    /// Takes the first task of the root whose turn it is.
    pub fn pop(&mut self) -> Option<TaskEnvelope> {
        let root = self.turns.pop_front()?;
        let tasks = self.roots.get_mut(&root)?;
        let (_, task) = tasks.pop_first()?;
        if tasks.is_empty() {
            self.roots.remove(&root);
        } else {
            self.turns.push_back(root);
        }
        self.places.remove(&task.task);
        Some(task)
    }

    /// Takes out a task that nobody wants any more.
    pub fn remove(&mut self, task: TaskRef) -> Option<TaskEnvelope> {
        let (root, place) = self.places.remove(&task)?;
        let tasks = self.roots.get_mut(&root)?;
        let removed = tasks.remove(&place);
        if tasks.is_empty() {
            self.roots.remove(&root);
            self.turns.retain(|turn| *turn != root);
        }
        removed
    }

    /// Takes out everything, in the order of [`FairQueue::pop`].
    pub fn drain(&mut self) -> Vec<TaskEnvelope> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}
