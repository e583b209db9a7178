//! What is true of every durable journal.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use stepflow_engine::event::{AttemptOutcome, Budget, Event, Record, TaskRef};
use stepflow_engine::machine::Machine;
use stepflow_protocol::{RunId, TaskId};

/// The limits of the flows here.
const MAX_RETRIES: u32 = 2;

/// The transport's retries.
const TRANSPORT: u32 = 3;

/// Panics at the first rule that is broken.
pub fn check(root: RunId, journal: &[Arc<Record>]) {
    let mut ended_steps = HashSet::new();
    let mut ended_items = HashSet::new();
    let mut newest: HashMap<TaskId, u32> = HashMap::new();
    let mut free: HashMap<TaskId, u32> = HashMap::new();
    let mut closed: HashSet<TaskRef> = HashSet::new();
    let mut ended_runs = HashSet::new();
    let mut running: HashSet<(_, Option<String>)> = HashSet::new();
    let (mut over, mut owners) = (false, 0);
    for (seq, record) in (1_u64..).zip(journal) {
        assert_eq!(record.seq, seq, "sequences are dense");
        match &record.event {
            Event::StepScheduled(scheduled) => {
                assert!(!over, "nothing is scheduled after a cancel or the end");
                assert!(!ended_steps.contains(&scheduled.step), "a step that has ended is not executed again");
                let item = (scheduled.step.run, scheduled.step.item);
                assert!(!ended_items.contains(&item), "nothing is scheduled in an item that has ended");
                let task = scheduled.task;
                let before = newest.insert(task.task_id, task.attempt).unwrap_or(0);
                assert_eq!(task.attempt, before + 1, "attempts are counted from 1");
                let previous = TaskRef { attempt: before, ..task };
                assert!(before == 0 || closed.contains(&previous), "attempt n + 1 follows the end of attempt n");
                let most = 1 + TRANSPORT + MAX_RETRIES + owners + free.get(&task.task_id).copied().unwrap_or(0);
                assert!(task.attempt <= most, "no more attempts than are allowed");
            }
            Event::RunCreated(created) => {
                let Some(parent) = created.parent else { continue };
                assert!(!over && !ended_steps.contains(&parent), "a sub-run begins for a step that waits for it");
                if created.nested.is_none() && created.key.is_some() {
                    let new = running.insert((parent, created.key.clone()));
                    assert!(new || MAX_RETRIES > 0, "a step has one run of each key");
                }
            }
            Event::AttemptEnded(ended) => {
                if ended.outcome == AttemptOutcome::Lost && ended.spends == Budget::None {
                    *free.entry(ended.task.task_id).or_default() += 1;
                }
                closed.insert(ended.task);
            }
            Event::OwnerChanged(_) => {
                owners += 1;
                closed.extend(newest.iter().map(|(task_id, attempt)| TaskRef { task_id: *task_id, attempt: *attempt }));
            }
            Event::StepEnded(ended) => assert!(ended_steps.insert(ended.step), "a step ends once"),
            Event::ItemEnded(ended) => {
                assert!(ended_items.insert((ended.run, ended.item)), "an item ends once");
            }
            Event::CancelAsked(asked) => over |= asked.run.is_none(),
            Event::RunEnded(ended) => {
                assert!(ended_runs.insert(ended.run), "a run ends once");
                over |= ended.run == root;
            }
            _ => {}
        }
    }
    let folded = Machine::recovered(root, journal.iter().map(|record| &**record));
    assert_eq!(folded.state().seq, journal.len() as u64);
}
