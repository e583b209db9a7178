//! What every store must do, and what only one of them does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(feature = "sqlite")]
mod care;
#[cfg(feature = "sqlite")]
mod damage;
#[cfg(feature = "sqlite")]
mod engine;
#[cfg(feature = "sqlite")]
mod files;
mod fixtures;
#[cfg(feature = "sqlite")]
mod lock;
mod memory;
#[cfg(feature = "sqlite")]
mod restore;
#[cfg(feature = "sqlite")]
mod retention;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod weather;

use std::sync::Arc;

use jiff::Timestamp;
use stepflow_engine::Shards;
use stepflow_engine::event::{TaskRef, ValueRef};
use stepflow_engine::ports::{
    Append, Blob, Blobs, Created, Deleted, Due, Journal, NewRun, OpenRoot, Queries, RunFilter, StoreError,
};
use stepflow_protocol::{BlobType, ExecutionStatus, FlowResult, RunId, TaskId, content_id};
use stepflow_store::{MemoryStore, Options};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::fixtures::{Answers, Owned, append, ending, new_run, plan, record, run_id, sub_run, value};

async fn a_journal_is_read_back_as_it_was_written(owned: &mut Owned<impl Journal>) {
    let run = run_id(1);
    let new = new_run(run);
    let mut written = new.append.records.clone();
    assert_eq!(owned.store.create(new).await.unwrap(), Created::New);
    owned.append(append(run, ending(run, "[1]"))).await.unwrap();
    written.extend(ending(run, "[1]"));
    let read = async |after| owned.store.read(run, after, usize::MAX).await.unwrap().records;
    assert_eq!(read(0).await, written);
    assert_eq!(read(3).await, written[3..]);
    assert_eq!(read(5).await, []);
    let page = owned.store.read(run, 0, 1).await.unwrap();
    assert_eq!((page.records.len(), page.epoch), (1, 1), "a page has one event at least");
    assert!(!page.is_last);
    assert!(owned.store.read(run, 3, usize::MAX).await.unwrap().is_last);
}

async fn an_append_that_does_not_follow_is_refused_and_so_is_one_of_an_owner_of_before(
    owned: &mut Owned<impl Journal>,
) {
    let run = run_id(10);
    owned.store.create(new_run(run)).await.unwrap();
    let gap = Append { after: 3, ..append(run, ending(run, "1")) };
    assert_eq!(owned.append(gap).await, Err(StoreError::Conflict { after: 3, last: 1 }));
    let nowhere = append(run_id(98), ending(run, "1"));
    assert!(matches!(owned.append(nowhere).await, Err(StoreError::NotFound { .. })));
    let before = Append { incarnation: 2, epoch: 0, ..append(run, ending(run, "1")) };
    assert_eq!(owned.append(before).await, Err(StoreError::Fenced { ours: 0, theirs: 1 }));
    owned.append(Append { incarnation: 3, ..append(run, ending(run, "1")) }).await.unwrap();
}

async fn values_are_found_by_their_place(owned: &mut Owned<impl Journal>) {
    let run = run_id(2);
    owned.store.create(new_run(run)).await.unwrap();
    let inputs = vec![(run_id(3), vec![value("1"), value("2")])];
    let mut records = ending(run, "{\"out\":1.0}");
    records.push(sub_run(6, run_id(3), run));
    owned.append(Append { inputs, ..append(run, records) }).await.unwrap();
    let standing = owned.store.find(run_id(3)).await.unwrap().unwrap();
    assert_eq!((standing.root, standing.ended), (run, false));
    for row in [2, 3, 4] {
        assert_eq!(owned.value(run, ValueRef::Row(row)).await, Some(value("{\"out\":1.0}")), "row {row}");
    }
    assert_eq!(owned.value(run, ValueRef::Item(run, 0)).await, Some(value("{\"in\":1}")));
    assert_eq!(owned.value(run, ValueRef::Item(run_id(3), 1)).await, Some(value("2")));
    assert_eq!(owned.value(run, ValueRef::Row(5)).await, None);
    assert_eq!(owned.value(run, ValueRef::Blob(content_id(b"absent"))).await, None);
    assert!(matches!(owned.store.read(run_id(99), 0, 1).await, Err(StoreError::NotFound { what: "run", .. })));
    assert!(owned.store.flow(plan().flow_id).await.unwrap().is_some());
}

async fn a_key_makes_one_run(owned: &mut Owned<impl Journal>) {
    let keyed = |run| NewRun { idempotency_key: Some("key".to_owned()), ..new_run(run) };
    assert_eq!(owned.store.create(keyed(run_id(20))).await.unwrap(), Created::New);
    assert_eq!(owned.store.create(keyed(run_id(21))).await.unwrap(), Created::Existing(run_id(20)));
    assert_eq!(owned.store.find(run_id(21)).await.unwrap(), None);
}

async fn open_trees_their_due_times_and_marks_are_found(owned: &mut Owned<impl Journal + Queries>) {
    let (first, second) = (run_id(30), run_id(31));
    let task = TaskRef { task_id: TaskId::from_uuid(Uuid::from_u128(7)), attempt: 1 };
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    for run in [first, second] {
        let mut new = new_run(run);
        new.append.owes = vec![Due { at: at(9), seq: 1 }];
        owned.store.create(new).await.unwrap();
    }
    owned.store.mark(first, 1, vec![task]).await.unwrap();
    assert_eq!(owned.store.read(first, 0, 1).await.unwrap().marked, [task]);
    let open = async |after, most| {
        let all = owned.store.open_roots(Shards::ALL, after, most).await.unwrap();
        all.into_iter().filter(|open| [first, second].contains(&open.root)).collect::<Vec<OpenRoot>>()
    };
    assert_eq!(open(None, 1_000).await.len(), 2);
    assert_eq!(open(Some(first), 1).await, [OpenRoot { root: second, idle: false }]);
    let due = async |upto, after| owned.store.due(Shards::ALL, at(upto), after, 10).await.unwrap();
    assert_eq!(due(9, None).await, []);
    assert_eq!(due(10, None).await, [(at(9), first), (at(9), second)]);
    assert_eq!(due(10, Some((at(9), first))).await, [(at(9), second)]);
    let settled = Append { settles: vec![1], unmarks: vec![task], idle: true, ..append(first, ending(first, "1")) };
    owned.append(settled).await.unwrap();
    let due = owned.store.due(Shards::ALL, at(10), None, 10).await.unwrap();
    assert_eq!(due, [(at(9), second)]);
    assert_eq!(owned.store.read(first, 0, 1).await.unwrap().marked, []);
    let standing = owned.store.find(first).await.unwrap().unwrap();
    assert!(standing.ended && standing.root == first);
    owned.store.mark(second, 1, vec![task]).await.unwrap();
    owned.store.unmark(second, 1, vec![task]).await.unwrap();
    assert_eq!(owned.store.read(second, 0, 1).await.unwrap().marked, []);
    owned.store.mark(second, 1, vec![task]).await.unwrap();
    owned.store.leave(Shards::ALL).await.unwrap();
    assert_eq!(owned.store.read(second, 0, 1).await.unwrap().marked, [], "an owner that leaves was no reason");
    owned.store.give_up(second, 1, "why".to_owned()).await.unwrap();
    assert_eq!(owned.store.due(Shards::ALL, at(10), None, 10).await.unwrap(), [], "nothing brings it back");
    assert_eq!(owned.store.find(second).await.unwrap().unwrap().given_up.as_deref(), Some("why"));
    let row = owned.store.run(second).await.unwrap().unwrap();
    assert_eq!((row.status, row.items.failed, row.items.running), (ExecutionStatus::RecoveryFailed, 1, 0));
    let item = owned.store.items(second, None, 1).await.unwrap().remove(0);
    assert!(matches!(&item.result, Some(FlowResult::Failed(error)) if error.message.contains("why")), "{item:?}");
    for (status, is_there) in [(ExecutionStatus::RecoveryFailed, true), (ExecutionStatus::Running, false)] {
        let filter = RunFilter { status: Some(status), ..RunFilter::default() };
        let listed = owned.store.runs(filter, None, 1_000).await.unwrap();
        assert_eq!(listed.iter().any(|row| row.run == second), is_there, "{status:?}");
    }
    let open = owned.store.open_roots(Shards::ALL, None, 1_000).await.unwrap();
    assert!(open.iter().all(|open| open.root != second), "a tree that was given up is not open");
}

async fn an_owner_of_before_changes_no_marks(owned: &mut Owned<impl Journal>) {
    let run = run_id(60);
    let task = TaskRef { task_id: TaskId::from_uuid(Uuid::from_u128(7)), attempt: 1 };
    owned.store.create(new_run(run)).await.unwrap();
    owned.store.mark(run, 0, vec![task]).await.unwrap();
    assert_eq!(owned.store.read(run, 0, 1).await.unwrap().marked, []);
    owned.store.mark(run, 1, vec![task]).await.unwrap();
    owned.store.unmark(run, 0, vec![task]).await.unwrap();
    assert_eq!(owned.store.read(run, 0, 1).await.unwrap().marked, [task]);
}

async fn a_tree_is_idle_when_its_last_append_says_so(owned: &mut Owned<impl Journal>) {
    let run = run_id(61);
    owned.store.create(new_run(run)).await.unwrap();
    for (after, idle) in (1..).zip([true, true, false]) {
        let records = vec![ending(run, "1")[after as usize - 1].clone()];
        owned.append(Append { after, idle, ..append(run, records) }).await.unwrap();
        let open = owned.store.open_roots(Shards::ALL, None, 1_000).await.unwrap();
        assert!(open.contains(&OpenRoot { root: run, idle }), "after {after}");
    }
}

async fn a_tree_that_has_ended_can_be_deleted(owned: &mut Owned<impl Journal>) {
    let (run, inner) = (run_id(40), run_id(41));
    let keyed = |run| NewRun { idempotency_key: Some("deleted".to_owned()), ..new_run(run) };
    owned.store.create(keyed(run)).await.unwrap();
    assert_eq!(owned.store.delete(run).await.unwrap(), Deleted::Open);
    let mut records = ending(run, "1");
    records.insert(0, sub_run(2, inner, run));
    let records = records.iter().zip(2..).map(|(old, seq)| record(seq, old.event.clone())).collect();
    let inputs = vec![(inner, vec![value("1"), value("2")])];
    owned.append(Append { inputs, ..append(run, records) }).await.unwrap();
    let no_run = |of: RunId| StoreError::NotFound { what: "run", id: of.to_string() };
    assert_eq!(owned.store.delete(inner).await, Err(no_run(inner)), "a tree is deleted as a whole");
    assert_eq!(owned.store.delete(run).await.unwrap(), Deleted::Gone);
    for run in [run, inner] {
        assert_eq!(owned.store.find(run).await.unwrap(), None);
    }
    assert!(matches!(owned.store.read(run, 0, 1).await, Err(StoreError::NotFound { what: "run", .. })));
    let late = Append { after: 6, incarnation: 2, ..append(run, ending(run, "1")) };
    assert_eq!(owned.append(late).await, Err(no_run(run)));
    assert_eq!(owned.store.delete(run).await, Err(no_run(run)));
    let again = owned.store.create(keyed(run_id(42))).await.unwrap();
    assert_eq!(again, Created::Existing(run), "its key is not free at once");
}

async fn a_run_is_made_of_inputs_that_were_stored_before(owned: &mut Owned<impl Journal>) {
    let long = value(&format!("\"{}\"", "x".repeat(700_000)));
    let stage = owned.store.stage(None, vec![value("0"), long.clone(), long.clone()]).await.unwrap();
    let other = owned.store.stage(None, vec![value("\"other\"")]).await.unwrap();
    let before = stage;
    let stage = owned.store.stage(Some(stage), vec![value("3"), long.clone()]).await.unwrap();
    assert_eq!((stage.items, stage.number != other.number), (5, true));
    let (run, refused) = (run_id(50), run_id(51));
    let staged = |run, stage| {
        let mut new = NewRun { stage: Some(stage), ..new_run(run) };
        new.append.inputs = Vec::new();
        new
    };
    let old = owned.store.create(staged(refused, before)).await;
    assert!(matches!(old, Err(StoreError::NotFound { what: "stage", .. })), "it has more inputs now: {old:?}");
    assert_eq!(owned.store.find(refused).await.unwrap(), None);
    let fenced = NewRun { append: Append { epoch: 0, ..staged(refused, stage).append }, ..staged(refused, stage) };
    assert!(matches!(owned.store.create(fenced).await, Err(StoreError::Fenced { .. })));
    assert_eq!(owned.store.create(staged(run, stage)).await.unwrap(), Created::New);
    for (item, expected) in [(0, value("0")), (2, long.clone()), (3, value("3")), (4, long)] {
        assert_eq!(owned.value(run, ValueRef::Item(run, item)).await, Some(expected), "{item}");
    }
    assert_eq!(owned.value(run, ValueRef::Item(run, 5)).await, None);
    let again = owned.store.create(staged(run_id(52), stage)).await;
    assert!(matches!(again, Err(StoreError::NotFound { what: "stage", .. })), "{again:?}");
    owned.append(append(run, ending(run, "1"))).await.unwrap();
    let empty = owned.store.stage(None, Vec::new()).await.unwrap();
    assert_eq!(empty.items, 0);
}

async fn every_owner_has_a_number_and_knows_whether_the_one_before_left(store: &impl Journal) {
    let (sender, _answers) = mpsc::unbounded_channel();
    let shards = Shards::of_driver(3, 200);
    let own = async || store.own(shards, Arc::new(Answers(sender.clone()))).await.unwrap()[0];
    let first = own().await;
    store.leave(shards).await.unwrap();
    let second = own().await;
    let third = own().await;
    assert_eq!((second.epoch > first.epoch, second.clean), (true, true));
    assert_eq!((third.epoch > second.epoch, third.clean), (true, false));
}

async fn content_is_kept_under_the_hash_of_its_canonical_text(store: &impl Blobs) {
    let blob = Blob { data: value("{ \"x\": 1 }"), blob_type: BlobType::Data };
    let id = store.put(blob).await.unwrap();
    assert_eq!(id, content_id(b"{\"x\":1}"));
    assert_eq!(store.get(id).await.unwrap().data, value("{\"x\":1}"));
    let absent = content_id(b"absent");
    assert!(matches!(store.get(absent).await, Err(StoreError::NotFound { what: "blob", .. })));
}

/// What every store must do. `new` makes an empty one.
async fn passes<S: Journal + Queries + Blobs>(mut new: impl FnMut() -> Arc<S>) {
    let store = new();
    content_is_kept_under_the_hash_of_its_canonical_text(&*store).await;
    every_owner_has_a_number_and_knows_whether_the_one_before_left(&*new()).await;
    let mut owned = Owned::new(store).await;
    a_journal_is_read_back_as_it_was_written(&mut owned).await;
    an_append_that_does_not_follow_is_refused_and_so_is_one_of_an_owner_of_before(&mut owned).await;
    values_are_found_by_their_place(&mut owned).await;
    a_key_makes_one_run(&mut owned).await;
    an_owner_of_before_changes_no_marks(&mut owned).await;
    a_tree_is_idle_when_its_last_append_says_so(&mut owned).await;
    open_trees_their_due_times_and_marks_are_found(&mut owned).await;
    a_tree_that_has_ended_can_be_deleted(&mut owned).await;
    a_run_is_made_of_inputs_that_were_stored_before(&mut owned).await;
}

#[tokio::test]
async fn the_memory_store_passes_the_suite() {
    passes(|| MemoryStore::new(Options::default())).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_sqlite_store_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    passes(|| {
        number += 1;
        sqlite::open(&folder.path().join(format!("{number}.db")))
    })
    .await;
}
