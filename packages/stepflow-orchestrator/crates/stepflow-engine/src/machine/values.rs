//! The values that are in memory. A cache: what is not here can be loaded by its reference.

use std::collections::HashMap;

use stepflow_protocol::{BlobId, RunId, Value};

use super::state::RunTree;
use crate::event::{AttemptEnded, Event, Outcome, Record, ValueRef};

/// Values by where they stand in the journal or among a run's inputs.
#[derive(Debug, Default)]
pub struct Values {
    rows: HashMap<u64, Value>,
    inputs: HashMap<(RunId, u32), Value>,
    blobs: HashMap<BlobId, Option<Value>>,
}

impl Values {
    /// The value that stands there, if it is in memory.
    #[must_use]
    pub fn get(&self, place: &ValueRef) -> Option<Value> {
        match place {
            ValueRef::Inline(value) => Some(value.clone()),
            ValueRef::Row(seq) => self.rows.get(seq).cloned(),
            ValueRef::Item(run, item) => self.inputs.get(&(*run, *item)).cloned(),
            ValueRef::Blob(id) => self.blob(*id).flatten(),
        }
    }

    /// The content of this id: `None` when nobody has looked for it, `Some(None)` when there is none.
    #[must_use]
    pub fn blob(&self, id: BlobId) -> Option<Option<Value>> {
        self.blobs.get(&id).cloned()
    }

    /// Takes note that there is no such value.
    pub fn insert_absent(&mut self, place: &ValueRef) {
        if let ValueRef::Blob(id) = place {
            self.blobs.insert(*id, None);
        }
    }

    /// Takes a value that was loaded.
    pub fn insert(&mut self, place: &ValueRef, value: Value) {
        match place {
            ValueRef::Row(seq) => drop(self.rows.insert(*seq, value)),
            ValueRef::Item(run, item) => drop(self.inputs.insert((*run, *item), value)),
            ValueRef::Blob(id) => drop(self.blobs.insert(*id, Some(value))),
            ValueRef::Inline(_) => {}
        }
    }

    /// Drops everything, as if it had never been in memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.inputs.clear();
        self.blobs.clear();
    }

    /// Keeps what an event brought.
    pub(super) fn keep(&mut self, record: &Record) {
        match &record.event {
            Event::AttemptEnded(AttemptEnded { payload: Some(ValueRef::Inline(value)), .. }) => {
                self.rows.insert(record.seq, value.clone());
            }
            Event::RunCreated(created) => {
                let inputs = created.inline_inputs().map(Value::elements).unwrap_or_default();
                let items = (0_u32..).zip(inputs);
                self.inputs.extend(items.map(|(item, input)| ((created.run, item), input)));
            }
            _ => {}
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
