//! What holds for every journal.

use std::collections::{HashMap, HashSet};

use stepflow_engine::event::{Event, TaskRef};
use stepflow_engine::machine::Machine;
use stepflow_protocol::TaskId;

use super::world::Simulation;

/// Panics at the first rule that does not hold.
pub fn check(simulation: &Simulation) {
    let mut ended_steps = HashSet::new();
    let mut ended_items = HashSet::new();
    let mut newest: HashMap<TaskId, u32> = HashMap::new();
    let mut closed: HashSet<TaskRef> = HashSet::new();
    let mut keyed = HashSet::new();
    let mut over = false;
    for (seq, record) in (1_u64..).zip(simulation.journal()) {
        assert_eq!(record.seq, seq, "sequences are dense");
        match &record.event {
            Event::StepScheduled(scheduled) => {
                assert!(!over, "nothing is scheduled after a cancel or the end");
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
            Event::RunEnded(ended) => over |= ended.run == simulation.root,
            _ => {}
        }
    }
    let folded = Machine::recovered(simulation.root, simulation.journal());
    assert_eq!(folded.state(), simulation.machine.state(), "folding the journal gives the live state");
}
