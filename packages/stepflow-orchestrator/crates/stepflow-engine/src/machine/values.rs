//! The values that are in memory. A cache: what is not here can be loaded by its reference.

use std::collections::HashMap;

use stepflow_protocol::{RunId, Value};

use super::state::RunTree;
use crate::event::{Event, Outcome, Record, ValueRef};

/// Values by where they stand in the journal or among a run's inputs.
#[derive(Debug, Default)]
pub struct Values {
    rows: HashMap<u64, Value>,
    inputs: HashMap<(RunId, u32), Value>,
}

impl Values {
    /// The value that stands there, if it is in memory.
    #[must_use]
    pub fn get(&self, place: &ValueRef) -> Option<Value> {
        match place {
            ValueRef::Inline(value) => Some(value.clone()),
            ValueRef::Row(seq) => self.rows.get(seq).cloned(),
            ValueRef::Item(run, item) => self.inputs.get(&(*run, *item)).cloned(),
            ValueRef::Blob(_) => None,
        }
    }

    /// Takes a value that was loaded.
    pub fn insert(&mut self, place: &ValueRef, value: Value) {
        match place {
            ValueRef::Row(seq) => drop(self.rows.insert(*seq, value)),
            ValueRef::Item(run, item) => drop(self.inputs.insert((*run, *item), value)),
            ValueRef::Inline(_) | ValueRef::Blob(_) => {}
        }
    }

    /// Drops everything, as if it had never been in memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.inputs.clear();
    }

    /// Keeps what an event brought.
    pub(super) fn keep(&mut self, record: &Record) {
        if let Event::AttemptEnded(ended) = &record.event
            && let Some(ValueRef::Inline(value)) = &ended.payload
        {
            self.rows.insert(record.seq, value.clone());
        }
    }

    /// Drops what only this item needed.
    pub(super) fn forget_item(&mut self, state: &RunTree, run: RunId, item: u32) {
        self.inputs.remove(&(run, item));
        let Some(steps) = state.runs.get(&run).and_then(|run| run.items.get(item as usize)) else { return };
        for step in steps.steps.values() {
            if let Some(Outcome::Success(ValueRef::Row(seq))) = &step.result {
                self.rows.remove(seq);
            }
        }
    }
}
