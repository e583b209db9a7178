//! About how many bytes a machine takes. Idle trees leave memory when they take too much together, so what a map or a
//! table allocates counts too: a small tree consists of little else.

use std::collections::{BTreeMap, HashMap, HashSet};

use stepflow_protocol::{FlowError, Value};

use super::Machine;
use super::effect::Effect;
use super::state::{Item, Run, RunTree};
use super::step::{Attempt, Step};
use crate::event::{Outcome, Route, ValueRef};

/// What the allocator adds to each piece of memory.
const PIECE: usize = 16;

/// Takes some bytes besides its own fields.
pub(super) trait Heap {
    /// How many.
    fn heap(&self) -> usize;
}

impl Machine {
    /// About how many bytes it takes besides its own fields.
    #[must_use]
    pub fn size(&self) -> usize {
        self.state.heap() + self.agenda.heap()
    }
}

impl Heap for RunTree {
    fn heap(&self) -> usize {
        let runs: usize = self.runs.values().map(Heap::heap).sum();
        let owed: usize = self.owed.values().map(Heap::heap).sum();
        let keys: usize = self.keyed.keys().map(|(_, key)| key.capacity() + PIECE).sum();
        map(&self.runs) + runs + map(&self.owed) + owed + table(&self.tasks) + table(&self.keyed) + keys
    }
}

impl Heap for Run {
    fn heap(&self) -> usize {
        let items: usize = self.items.iter().map(Heap::heap).sum();
        let values = self.variables.iter().chain(&self.overrides).map(Value::size).sum::<usize>();
        let nested = self.nested.as_ref().map_or(0, |nested| nested.step_input.heap());
        let below = self.below.len().div_ceil(FILLED) * node(size_of::<stepflow_protocol::RunId>());
        vector(&self.items) + items + values + nested + below + self.error.as_ref().map_or(0, Heap::heap)
    }
}

impl Heap for Item {
    fn heap(&self) -> usize {
        let steps: usize = self.steps.values().map(|step| size_of::<Step>() + PIECE + step.heap()).sum();
        map(&self.steps) + steps + self.end.as_ref().map_or(0, |end| end.result.heap())
    }
}

impl Heap for Step {
    fn heap(&self) -> usize {
        let attempts: usize = self.attempts.iter().map(|attempt: &Attempt| attempt.route.heap()).sum();
        let runs = self.runs.len().div_ceil(FILLED) * node(size_of::<stepflow_protocol::RunId>());
        let input = self.input.as_ref().map_or(0, Heap::heap);
        let end = self.result.as_ref().map_or(0, Heap::heap) + self.failure.as_ref().map_or(0, Heap::heap);
        vector(&self.attempts) + attempts + runs + input + end
    }
}

impl Heap for Effect {
    fn heap(&self) -> usize {
        match self {
            Self::Offer { route, input, .. } => route.heap() + input.heap(),
            Self::Cancel { route, .. } => route.heap(),
            Self::Wake { .. } | Self::Deadline { .. } => 0,
        }
    }
}

impl Heap for Route {
    fn heap(&self) -> usize {
        self.plugin.len() + self.component.len() + 2 * PIECE
    }
}

impl Heap for ValueRef {
    fn heap(&self) -> usize {
        match self {
            Self::Inline(value) => value.size() + PIECE,
            Self::Row(_) | Self::Item(..) | Self::Blob(_) => 0,
        }
    }
}

impl Heap for Outcome {
    fn heap(&self) -> usize {
        match self {
            Self::Success(place) => place.heap(),
            Self::Failed(error) => error.heap(),
        }
    }
}

impl Heap for FlowError {
    fn heap(&self) -> usize {
        self.message.capacity() + PIECE + self.data.as_ref().map_or(0, |data| data.size() + PIECE)
    }
}

/// How many entries a node of a `BTreeMap` has room for.
const ROOM: usize = 11;

/// How many it has at least, if it is not the only one.
const FILLED: usize = 6;

fn node(entry: usize) -> usize {
    ROOM * entry + PIECE + PIECE
}

/// What the nodes of a map take.
pub(super) fn map<K, V>(map: &BTreeMap<K, V>) -> usize {
    let nodes = if map.len() <= ROOM { usize::from(!map.is_empty()) } else { map.len().div_ceil(FILLED) };
    nodes * node(size_of::<(K, V)>())
}

/// What a table takes: it has a byte for each place, and an eighth of the places is empty.
pub(super) fn table<K, V>(table: &HashMap<K, V>) -> usize {
    places(table.capacity(), size_of::<(K, V)>())
}

/// The same for a set.
pub(super) fn set<T>(set: &HashSet<T>) -> usize {
    places(set.capacity(), size_of::<T>())
}

fn places(capacity: usize, entry: usize) -> usize {
    if capacity == 0 { 0 } else { (capacity + 1).next_power_of_two() * (entry + 1) + PIECE + PIECE }
}

/// What a vector takes.
pub(super) fn vector<T>(vector: &Vec<T>) -> usize {
    if vector.capacity() == 0 { 0 } else { vector.capacity() * size_of::<T>() + PIECE }
}
