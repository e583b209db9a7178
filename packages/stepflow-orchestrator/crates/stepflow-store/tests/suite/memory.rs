//! What only the store in memory does.

use std::sync::Arc;

use jiff::Timestamp;
use stepflow_engine::event::Record;
use stepflow_engine::ports::{Appended, Deleted, Flows, Journal, Queries};
use stepflow_protocol::{ExecutionStatus, FlowResult, RunId};
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
    assert_eq!(store.append(append(run, ending(run, "5"))), Appended::Now);
    let row = store.run(run).unwrap();
    assert_eq!((row.status, row.items.running, row.items.completed), (ExecutionStatus::Completed, 0, 1));
    assert_eq!(store.items(run)[0].result, Some(FlowResult::Success(value("5"))));
    assert_eq!(store.steps(run, 0)[0].step_id, "a");
    assert!(store.flow(plan().flow_id).is_some());
}

/// The last events of a run, at this second.
fn ending_at(run: RunId, second: i64) -> Vec<Arc<Record>> {
    let at = Timestamp::from_second(second).unwrap();
    ending(run, "0").iter().map(|record| Arc::new(Record { at, ..(**record).clone() })).collect()
}

#[tokio::test]
async fn only_the_last_finished_runs_are_kept_and_those_that_have_just_ended() {
    let store = MemoryStore::new(Options { keep_finished: 2 });
    for (number, second) in [(1, 1), (2, 1), (3, 1), (4, 1)] {
        store.create(new_run(run_id(number))).await.unwrap();
        store.append(append(run_id(number), ending_at(run_id(number), second)));
    }
    let kept = |numbers: [u128; 6]| numbers.map(|number| store.run(run_id(number)).is_some());
    assert_eq!(kept([1, 2, 3, 4, 5, 6]), [true, true, true, true, false, false]);
    store.create(new_run(run_id(5))).await.unwrap();
    store.append(append(run_id(5), ending_at(run_id(5), 3)));
    store.create(new_run(run_id(6))).await.unwrap();
    assert_eq!(kept([1, 2, 3, 4, 5, 6]), [false, false, false, true, true, true]);
}

#[tokio::test]
async fn a_flow_goes_with_the_last_of_its_runs_unless_it_was_stored() {
    let store = MemoryStore::new(Options { keep_finished: 0 });
    for stored in [false, true] {
        if stored {
            Flows::put(&*store, plan(), Timestamp::UNIX_EPOCH).await.unwrap();
        }
        for (number, second) in [(1, 1), (2, 3), (3, 5)] {
            store.create(new_run(run_id(number))).await.unwrap();
            assert!(store.flow(plan().flow_id).is_some());
            store.append(append(run_id(number), ending_at(run_id(number), second)));
            assert_eq!(store.delete(run_id(number)).await.unwrap(), Deleted::Gone);
            assert_eq!(store.flow(plan().flow_id).is_some(), stored);
            assert_eq!(store.flows(None, 10).await.unwrap().len(), usize::from(stored));
        }
    }
}
