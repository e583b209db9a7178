//! What only the store in memory does.

use stepflow_engine::ports::{Durability, Journal};
use stepflow_protocol::{ExecutionStatus, FlowResult};
use stepflow_store::{MemoryStore, Options};

use crate::fixtures::{append, ending, new_run, plan, run_id, value};

#[tokio::test]
async fn rows_follow_the_journal() {
    let store = MemoryStore::new(Options::default());
    let run = run_id(3);
    store.create(new_run(run)).await.unwrap();
    let row = store.run(run).unwrap();
    assert_eq!((row.status, row.items.running, row.flow_name.as_deref()), (ExecutionStatus::Running, 1, Some("s")));
    assert_eq!(store.items(run)[0].result, None);
    assert_eq!(store.append(append(run, ending(run, "5"))), Durability::Now);
    let row = store.run(run).unwrap();
    assert_eq!((row.status, row.items.running, row.items.completed), (ExecutionStatus::Completed, 0, 1));
    assert_eq!(store.items(run)[0].result, Some(FlowResult::Success(value("5"))));
    assert_eq!(store.steps(run, 0)[0].step_id, "a");
    assert!(store.flow(plan().flow_id).is_some());
}

#[tokio::test]
async fn only_the_last_finished_runs_are_kept() {
    let store = MemoryStore::new(Options { keep_finished: 2 });
    for number in 1..=3 {
        let run = run_id(number);
        store.create(new_run(run)).await.unwrap();
        store.append(append(run, ending(run, "0")));
    }
    store.create(new_run(run_id(4))).await.unwrap();
    let kept: Vec<bool> = (1..=4).map(|number| store.run(run_id(number)).is_some()).collect();
    assert_eq!(kept, [false, true, true, true]);
}
