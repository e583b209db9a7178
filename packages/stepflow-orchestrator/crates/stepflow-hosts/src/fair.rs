//! The queue of tasks that wait for a slot. Root runs take turns, so that a batch of 100 000 items does not block its
//! neighbour. Inside a root the order is by item, then step, so that it depends on the input only.
//!
//! Tasks wait in lanes. A lane that is full now is skipped without a look at its tasks.

use std::collections::{BTreeMap, HashMap};

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::TaskEnvelope;
use stepflow_protocol::{RunId, TaskId};

/// Tasks that have the same limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The number of the component, where workers limit its executes; 0 where none does.
    pub component: u32,
    /// How many suspects of a crash may be in a worker at once, without other tasks; 0 for tasks that are not suspects.
    /// In their root, suspects come first, in the order of arrival. So one that crashes again and again lets the others
    /// pass.
    pub max_suspects: u32,
    /// The number of the set of workers that serve it; 0 where all do.
    pub served_by: u32,
}

impl Lane {
    /// No limits.
    pub const ANY: Self = Self { component: 0, max_suspects: 0, served_by: 0 };
}

/// Item, step, and the number of the arrival, which tells apart the steps of a root's sub-runs.
type TaskOrder = (u32, u32, u64);

/// Tasks that wait. Root runs take turns.
#[derive(Debug, Default)]
pub struct FairQueue {
    roots: HashMap<RunId, Root>,
    /// The roots that have tasks in a lane, by their turn.
    lanes: BTreeMap<Lane, BTreeMap<u64, RunId>>,
    waiting: HashMap<TaskRef, (RunId, Lane, TaskOrder)>,
    /// The tasks below another task, in the order of their arrival.
    below: HashMap<TaskId, BTreeMap<u64, TaskRef>>,
    turns: u64,
    arrivals: u64,
}

/// The tasks of a root run.
#[derive(Debug)]
struct Root {
    /// Its place among the roots. It keeps it while its lanes are full.
    turn: u64,
    lanes: BTreeMap<Lane, BTreeMap<TaskOrder, TaskEnvelope>>,
}

impl FairQueue {
    /// How many tasks wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no task waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a task waits in a lane that `matches` accepts.
    #[must_use]
    pub fn has(&self, matches: impl Fn(Lane) -> bool) -> bool {
        self.lanes.keys().any(|lane| matches(*lane))
    }

    /// Adds a task. A root that had none goes behind the others.
    pub fn push(&mut self, task: TaskEnvelope, lane: Lane) {
        self.arrivals += 1;
        let (item, step) = if lane.max_suspects > 0 { (0, 0) } else { (task.item, task.step) };
        let (id, order) = (task.root_run_id, (item, step, self.arrivals));
        self.waiting.insert(task.task, (id, lane, order));
        for above in &task.above {
            self.below.entry(*above).or_default().insert(self.arrivals, task.task);
        }
        let turns = &mut self.turns;
        let root = self.roots.entry(id).or_insert_with(|| Root { turn: next(turns), lanes: BTreeMap::new() });
        self.lanes.entry(lane).or_default().insert(root.turn, id);
        root.lanes.entry(lane).or_default().insert(order, task);
    }

    /// Takes the first task in an open lane, from the first root that has one. The roots before it keep their turn.
    pub fn pop(&mut self, open: impl Fn(Lane) -> bool) -> Option<(Lane, TaskEnvelope)> {
        let firsts = self.lanes.iter().filter_map(|(lane, turns)| Some((turns.first_key_value()?, *lane)));
        let ((_, id), _) = firsts.filter(|(_, lane)| open(*lane)).min()?;
        let id = *id;
        let lanes = self.roots.get(&id)?.lanes.iter();
        let firsts = lanes.filter_map(|(lane, tasks)| Some((*tasks.first_key_value()?.0, *lane)));
        let (order, lane) = firsts.filter(|(_, lane)| open(*lane)).min()?;
        let task = self.take(id, lane, order)?;
        self.end_turn(id);
        Some((lane, task))
    }

    /// Removes a task, also if it is not its turn.
    pub fn remove(&mut self, task: TaskRef) -> Option<TaskEnvelope> {
        let (root, lane, order) = self.waiting.get(&task).copied()?;
        self.take(root, lane, order)
    }

    /// The tasks that wait below this one, with their lanes, in the order of their arrival.
    pub fn below(&self, task: TaskId) -> impl Iterator<Item = (Lane, &TaskEnvelope)> {
        self.below.get(&task).into_iter().flat_map(BTreeMap::values).filter_map(|task| {
            let (root, lane, order) = self.waiting.get(task)?;
            Some((*lane, self.roots.get(root)?.lanes.get(lane)?.get(order)?))
        })
    }

    /// Removes all tasks, in the order of [`FairQueue::pop`].
    pub fn drain(&mut self) -> Vec<TaskEnvelope> {
        std::iter::from_fn(|| self.pop(|_| true)).map(|(_, task)| task).collect()
    }

    /// Moves every task into the lane that it belongs to now. Turns and orders stay.
    pub fn sort(&mut self, mut lane_of: impl FnMut(&TaskEnvelope) -> Lane) {
        self.lanes.clear();
        for (id, root) in &mut self.roots {
            for (order, task) in std::mem::take(&mut root.lanes).into_values().flatten() {
                let lane = lane_of(&task);
                self.waiting.insert(task.task, (*id, lane, order));
                root.lanes.entry(lane).or_default().insert(order, task);
            }
            for lane in root.lanes.keys() {
                self.lanes.entry(*lane).or_default().insert(root.turn, *id);
            }
        }
    }

    fn take(&mut self, id: RunId, lane: Lane, order: TaskOrder) -> Option<TaskEnvelope> {
        let root = self.roots.get_mut(&id)?;
        let tasks = root.lanes.get_mut(&lane)?;
        let task = tasks.remove(&order)?;
        self.waiting.remove(&task.task);
        for above in &task.above {
            if let Some(below) = self.below.get_mut(above) {
                below.remove(&order.2);
                if below.is_empty() {
                    self.below.remove(above);
                }
            }
        }
        if tasks.is_empty() {
            root.lanes.remove(&lane);
            if let Some(turns) = self.lanes.get_mut(&lane) {
                turns.remove(&root.turn);
                if turns.is_empty() {
                    self.lanes.remove(&lane);
                }
            }
        }
        if root.lanes.is_empty() {
            self.roots.remove(&id);
        }
        Some(task)
    }

    /// Puts a root behind the others.
    fn end_turn(&mut self, id: RunId) {
        let Some(root) = self.roots.get_mut(&id) else { return };
        let before = std::mem::replace(&mut root.turn, next(&mut self.turns));
        for lane in root.lanes.keys() {
            if let Some(turns) = self.lanes.get_mut(lane) {
                turns.remove(&before);
                turns.insert(root.turn, id);
            }
        }
    }
}

fn next(count: &mut u64) -> u64 {
    *count += 1;
    *count
}
