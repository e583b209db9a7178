//! The rows of runs, computed from the journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stepflow_engine::event::{Event, Outcome, Record, StepRef};
use stepflow_engine::ports::{ItemCounts, RunRow};
use stepflow_engine::{StepChange, StepProgress};
use stepflow_protocol::{ExecutionStatus, RunId};

/// The rows of one tree.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub runs: BTreeMap<RunId, RunRow>,
    items: BTreeMap<(RunId, u32), ItemEnd>,
    /// For each run, how those items ended that have no event for their end.
    unbegun: BTreeMap<RunId, ItemEnd>,
    pub steps: BTreeMap<StepRef, StepProgress>,
}

/// How an item ended. An item without a row has not ended.
#[derive(Debug)]
pub(crate) struct ItemEnd {
    pub status: ExecutionStatus,
    pub result: Outcome,
    pub at: Timestamp,
}

impl Rows {
    /// How an item ended. If its run ended before anything had begun in it, it ended with the run.
    pub fn end_of(&self, run: RunId, item: u32) -> Option<&ItemEnd> {
        self.items.get(&(run, item)).or_else(|| self.unbegun.get(&run))
    }

    /// Whether an event says how this item ended.
    #[cfg(feature = "sqlite")]
    pub fn has_own_end(&self, run: RunId, item: u32) -> bool {
        self.items.contains_key(&(run, item))
    }

    /// Takes over what an event changes.
    pub fn apply(&mut self, record: &Record) {
        if let Some((at, change)) = StepChange::of(&record.event) {
            self.steps.entry(at).or_insert_with(|| StepProgress::new(record.at)).apply(&change, record.at);
        }
        match &record.event {
            Event::RunCreated(created) => {
                let row = RunRow {
                    run: created.run,
                    root: created.root,
                    parent: created.above(),
                    flow_id: created.flow_id,
                    flow_name: None,
                    status: ExecutionStatus::Running,
                    items: ItemCounts::running(created.items),
                    created_at: record.at,
                    ended_at: None,
                };
                self.runs.insert(created.run, row);
            }
            Event::ItemEnded(ended) => {
                let end = ItemEnd { status: ended.status, result: ended.result.clone(), at: record.at };
                self.items.insert((ended.run, ended.item), end);
                if let Some(run) = self.runs.get_mut(&ended.run) {
                    run.items.end(1, ended.status);
                }
            }
            Event::RunEnded(ended) => {
                if let Some(run) = self.runs.get_mut(&ended.run) {
                    run.status = ended.status;
                    run.ended_at = Some(record.at);
                    run.items.end(run.items.running, ended.status);
                }
                if let Some(error) = &ended.error {
                    let result = Outcome::Failed(error.clone());
                    self.unbegun.insert(ended.run, ItemEnd { status: ended.status, result, at: record.at });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use stepflow_engine::event::{ItemEnded, RunCreated, RunEnded, ValueRef};
    use stepflow_protocol::{ErrorKind, FlowError, Value, content_id};

    use super::*;

    #[test]
    fn items_that_never_began_end_with_their_run() {
        let run = RunId::from_uuid(uuid::Uuid::from_u128(1));
        let created = RunCreated {
            run,
            root: run,
            parent: None,
            parent_run: None,
            key: None,
            nested: None,
            flow_id: content_id(b"{}"),
            items: 3,
            inputs: None,
            variables: None,
            overrides: None,
            limit: 1,
            deadline_at: None,
            semantics: 1,
        };
        let (completed, cancelled) = (ExecutionStatus::Completed, ExecutionStatus::Cancelled);
        let result = Outcome::Success(ValueRef::Inline(Value::null()));
        let error = FlowError::new(ErrorKind::Cancelled, "cancelled by a test");
        let events = [
            Event::RunCreated(Box::new(created)),
            Event::ItemEnded(ItemEnded { run, item: 0, status: completed, result }),
            Event::RunEnded(RunEnded { run, status: cancelled, error: Some(error) }),
        ];
        let mut rows = Rows::default();
        for (seq, event) in (1_u64..).zip(events) {
            rows.apply(&Record { seq, at: Timestamp::UNIX_EPOCH, version: 1, event });
        }
        let counts = ItemCounts { total: 3, completed: 1, cancelled: 2, ..ItemCounts::default() };
        assert_eq!(rows.runs[&run].items, counts);
        let statuses = [0, 1, 2].map(|item| rows.end_of(run, item).map(|end| end.status));
        assert_eq!(statuses, [Some(completed), Some(cancelled), Some(cancelled)]);
    }
}
