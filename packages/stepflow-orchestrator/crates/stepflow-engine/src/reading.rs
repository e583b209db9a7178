//! Reads a tree from its journal. A driver does not do it itself, because a journal may be long.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepflow_protocol::RunId;

use crate::event::{Record, TaskRef};
use crate::machine::Machine;
use crate::ports::{Journal, StoreError};

/// How much of a journal is read at a time.
const PAGE: usize = 1 << 20;

/// A tree as it is in its journal.
pub(crate) struct Read {
    pub machine: Machine,
    /// The events that this driver has not seen as durable.
    pub news: Vec<Arc<Record>>,
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
        if page.records.is_empty() {
            let (news, epoch, marked) = read;
            return Ok(Box::new(Read { machine: building.finish(), news, epoch, marked }));
        }
        read.1 = page.epoch;
        for record in page.records {
            building.fold(&record);
            if record.seq > seen {
                read.0.push(record);
            }
        }
    }
}
