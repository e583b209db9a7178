//! Reads a tree from its journal. A driver does not do it itself, because a journal may be long.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepflow_protocol::{RunId, Value};

use crate::event::{Record, TaskRef, ValueRef};
use crate::machine::{Effect, Machine, RunTree, outstanding};
use crate::ports::{Journal, StoreError};

/// How much of a journal is read at a time.
const PAGE: usize = 1 << 20;

/// A tree as it is in its journal.
pub(crate) struct Read {
    pub machine: Machine,
    /// The events that this driver has not seen as durable.
    pub news: Vec<Arc<Record>>,
    /// Inputs of its open attempts, as far as they are among these events.
    pub inputs: Vec<(ValueRef, Value)>,
    /// The owner that appended the last event.
    pub epoch: u64,
    /// The attempts that are marked.
    pub marked: BTreeSet<TaskRef>,
}

/// Folds a journal, page by page. `seen` is the last sequence that the driver has seen as durable.
///
/// # Errors
/// When the store cannot be read, or does not have this tree.
pub(crate) async fn read(journal: Arc<dyn Journal>, root: RunId, seen: u64) -> Result<Box<Read>, StoreError> {
    let mut building = Machine::building(root);
    let mut read = (Vec::new(), 0, BTreeSet::new());
    loop {
        let page = journal.read(root, building.seq(), PAGE).await?;
        read.2.extend(page.marked);
        if !page.records.is_empty() {
            read.1 = page.epoch;
        }
        for record in page.records {
            building.fold(&record);
            if record.seq > seen {
                read.0.push(record);
            }
        }
        if page.is_last {
            let (news, epoch, marked) = read;
            let machine = building.finish();
            let inputs = inputs(machine.state(), &news);
            return Ok(Box::new(Read { machine, news, inputs, epoch, marked }));
        }
    }
}

/// The inputs of open attempts that stand in these events: they need not be looked for in the store.
fn inputs(state: &RunTree, news: &[Arc<Record>]) -> Vec<(ValueRef, Value)> {
    let input = |(_, effect)| match effect {
        Effect::Offer { input: place @ ValueRef::Row(seq), .. } => {
            let found = news.binary_search_by_key(&seq, |record| record.seq).ok()?;
            match news[found].event.value()? {
                ValueRef::Inline(value) => Some((place, value.clone())),
                _ => None,
            }
        }
        _ => None,
    };
    outstanding(state).filter_map(input).collect()
}
