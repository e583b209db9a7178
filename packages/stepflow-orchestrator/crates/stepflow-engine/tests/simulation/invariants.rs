//! What is true of every journal.

use std::collections::{HashMap, HashSet};

use stepflow_engine::event::{Event, TaskRef};
use stepflow_engine::machine::Machine;
use stepflow_protocol::TaskId;

use super::world::Simulation;

/// The limits of the flows here for control flow.
const MAX_RETRIES: u32 = 1;

/// Panics at the first rule that is broken.
pub fn check(simulation: &Simulation) {
    let mut ended_steps = HashSet::new();
    let mut ended_items = HashSet::new();
    let mut newest: HashMap<TaskId, u32> = HashMap::new();
    let mut closed: HashSet<TaskRef> = HashSet::new();
    let mut keyed = HashSet::new();
    let mut ended_runs = HashSet::new();
    let mut newest_run = HashMap::new();
    let mut retries = HashMap::new();
    let mut over = false;
    for (seq, record) in (1_u64..).zip(simulation.journal()) {
        assert_eq!(record.seq, seq, "sequences are dense");
        match &record.event {
            Event::StepScheduled(scheduled) => {
                assert!(!over, "nothing is scheduled after a cancel or the end");
                let item = (scheduled.step.run, scheduled.step.item);
                assert!(!ended_items.contains(&item), "nothing is scheduled in an item that has ended");
                let task = scheduled.task;
                let before = newest.insert(task.task_id, task.attempt).unwrap_or(0);
                assert_eq!(task.attempt, before + 1, "attempts are counted from 1");
                let previous = TaskRef { attempt: before, ..task };
                assert!(before == 0 || closed.contains(&previous), "attempt n + 1 follows the end of attempt n");
            }
            Event::RunCreated(created) => {
                if let Some(key) = &created.key {
                    assert!(keyed.insert((created.parent, key)), "a step has one run of each key");
                }
                let Some(parent) = created.parent else { continue };
                assert!(!over && !ended_steps.contains(&parent), "a sub-run begins for a step that waits for it");
                if created.nested.is_some() {
                    let before = newest_run.insert(parent, created.run);
                    assert!(
                        before.is_none_or(|before| ended_runs.contains(&before)),
                        "one sub-run of a step at a time"
                    );
                }
            }
            Event::StepRetryScheduled(retry) => {
                assert!(!ended_steps.contains(&retry.step), "a step that ended is not tried again");
                let tries: &mut u32 = retries.entry(retry.step).or_default();
                *tries += 1;
                assert!(*tries <= MAX_RETRIES, "no more retries than the flow allows");
            }
            Event::AttemptEnded(ended) => drop(closed.insert(ended.task)),
            Event::OwnerChanged(_) => {
                closed.extend(newest.iter().map(|(task_id, attempt)| TaskRef { task_id: *task_id, attempt: *attempt }));
            }
            Event::StepEnded(ended) => assert!(ended_steps.insert(ended.step), "a step ends once"),
            Event::ItemEnded(ended) => {
                assert!(ended_items.insert((ended.run, ended.item)), "an item ends once");
            }
            Event::CancelAsked(asked) => over |= asked.run.is_none(),
            Event::RunEnded(ended) => {
                assert!(ended_runs.insert(ended.run), "a run ends once");
                over |= ended.run == simulation.root;
            }
            _ => {}
        }
    }
    let folded = Machine::recovered(simulation.root, simulation.journal());
    assert_eq!(folded.state(), simulation.machine.state(), "folding the journal gives the live state");
}
