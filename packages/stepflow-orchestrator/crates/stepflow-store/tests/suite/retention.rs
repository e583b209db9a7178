//! What is deleted leaves nothing behind, and what is needed stays.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use stepflow_engine::event::{Event, RunCreated, ValueRef};
use stepflow_engine::ports::{
    Append, Blob, Blobs, Created, Deleted, Due, Flows, Journal, NewRun, Queries, RunFilter, StoreError,
};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{BlobId, BlobType, RunId, Value};
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::{Options, Retention, Swept};

use crate::fixtures::{Owned, append, ending, long, new_run, plan, record, run_id, sub_run, value};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn open(path: &Path, retention: Retention) -> Arc<SqliteStore> {
    SqliteStore::open(&Options { inline_below: 50_000, retention, ..Options::new(path) }).unwrap()
}

/// A tree of two runs, with rows in every table.
async fn fill(owned: &mut Owned<SqliteStore>, run: RunId, inner: RunId) {
    let mut new = new_run(run);
    new.append.inputs = vec![(run, vec![value(&long(60_000))])];
    new.append.owes = vec![Due { at: jiff::Timestamp::MAX, seq: 1 }];
    owned.store.create(NewRun { idempotency_key: Some(run.to_string()), ..new }).await.unwrap();
    let mut records = ending(run, &long(70_000));
    records.push(sub_run(6, inner, run));
    let after = ending(inner, &long(3_000)).into_iter().zip(7..);
    records.extend(after.map(|(old, seq)| record(seq, old.event.clone())));
    let inputs = vec![(inner, (0..2_500).map(|number| value(&number.to_string())).collect())];
    owned.append(Append { inputs, ..append(run, records) }).await.unwrap();
}

fn rows(path: &Path) -> Vec<(&'static str, i64)> {
    let connection = Connection::open(path).unwrap();
    let count = |table| (table, connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)));
    let tables =
        ["runs", "run_items", "item_ends", "steps", "journal", "vals", "timers", "had", "blob_uses", "deleted"];
    tables.into_iter().map(count).map(|(table, rows)| (table, rows.unwrap())).filter(|(_, rows)| *rows > 0).collect()
}

fn files(path: &Path) -> usize {
    fn count(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    count(&path.with_extension("db-blobs"))
}

fn execute(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

async fn put(store: &SqliteStore, text: &str) -> BlobId {
    Blobs::put(store, Blob { data: Value::string(text), blob_type: BlobType::Data }).await.unwrap()
}

async fn listed(store: &SqliteStore) -> Vec<RunId> {
    let rows = store.runs(RunFilter::default(), None, 100).await.unwrap();
    rows.iter().map(|row| row.run).collect()
}

#[tokio::test]
async fn a_deleted_tree_is_out_of_sight_at_once_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path, Retention::default())).await;
    let (run, inner, other) = (run_id(1), run_id(2), run_id(3));
    fill(&mut owned, run, inner).await;
    assert_eq!(files(&path), 2);
    assert_eq!(owned.store.delete(run).await.unwrap(), Deleted::Gone);
    assert_eq!(listed(&owned.store).await, [], "and so are its sub-runs");
    assert_eq!(Queries::run(&*owned.store, inner).await.unwrap(), None);
    assert_eq!(owned.store.items(inner, None, 9).await.unwrap(), []);
    // What is left of it stands in nobody's way.
    owned.store.create(new_run(other)).await.unwrap();
    owned.append(append(other, ending(other, "1"))).await.unwrap();
    assert_eq!(owned.value(other, ValueRef::Row(4)).await, Some(value("1")));
    drop(owned);
    assert_eq!(rows(&path).iter().find(|(table, _)| *table == "deleted"), Some(&("deleted", 1)));
    let owned = Owned::new(open(&path, Retention::default())).await;
    owned.store.sweep().await.unwrap();
    assert_eq!(listed(&owned.store).await, [other]);
    let left = [("runs", 1), ("run_items", 1), ("item_ends", 1), ("steps", 1), ("journal", 2)];
    assert_eq!((rows(&path), files(&path)), (left.to_vec(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_takes_nothing_that_is_put_again_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path, Retention { runs: Some(Duration::ZERO), keep_failed: None });
    let text = "x".repeat(60_000);
    for round in 0..30 {
        put(&store, &text).await;
        execute(&path, "UPDATE blobs SET put_at = 0");
        let sweep = tokio::spawn(store.sweep());
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let again = put(&store, &text).await;
        assert_eq!(store.get(again).await.unwrap().data, Value::string(&text), "{round}");
        sweep.await.unwrap().unwrap();
        assert_eq!(store.get(again).await.unwrap().data, Value::string(&text), "{round}");
        assert_eq!(files(&path), 1, "{round}");
    }
}

#[tokio::test]
async fn a_flow_goes_with_the_last_of_its_runs_unless_it_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path, Retention::default())).await;
    for (first, stored) in [(1, false), (3, true)] {
        for number in [first, first + 1] {
            let run = run_id(number);
            owned.store.create(new_run(run)).await.unwrap();
            owned.append(append(run, ending(run, "1"))).await.unwrap();
        }
        if stored {
            Flows::put(&*owned.store, plan(), jiff::Timestamp::now()).await.unwrap();
        }
        for (number, kept) in [(first, true), (first + 1, stored)] {
            owned.store.delete(run_id(number)).await.unwrap();
            owned.store.sweep().await.unwrap();
            assert_eq!(owned.store.flow(plan().flow_id).await.unwrap().is_some(), kept, "{number}");
            assert_eq!(owned.store.flows(None, 9).await.unwrap().len(), usize::from(kept), "{number}");
        }
    }
}

#[tokio::test]
async fn the_contents_that_a_flow_names_stay_as_long_as_the_flow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    // So long that the run does not go by itself.
    let age = 36_500 * DAY;
    let mut owned = Owned::new(open(&path, Retention { runs: Some(age), keep_failed: None })).await;
    let named = put(&owned.store, "named").await;
    let loaded = load(Source::yaml("flow.yaml", format!("{{name: n, output: {{$literal: \"{named}\"}}}}")));
    let plan = Arc::new(Plan::compile(loaded.flow.unwrap()).unwrap());
    let run = run_id(1);
    let mut new = new_run(run);
    let Event::RunCreated(created) = &new.append.records[0].event else { panic!("it begins with something else") };
    let created = RunCreated { flow_id: plan.flow_id, ..(**created).clone() };
    new.append.records = vec![record(1, Event::RunCreated(Box::new(created)))];
    owned.store.create(NewRun { plan, ..new }).await.unwrap();
    owned.append(append(run, ending(run, "1"))).await.unwrap();
    execute(&path, &format!("UPDATE blobs SET put_at = put_at - {}", (age + DAY).as_micros()));
    owned.store.sweep().await.unwrap();
    assert!(owned.store.get(named).await.is_ok());
    owned.store.delete(run).await.unwrap();
    // A content goes after what names it, maybe in the next round.
    owned.store.sweep().await.unwrap();
    owned.store.sweep().await.unwrap();
    assert!(matches!(owned.store.get(named).await, Err(StoreError::NotFound { what: "blob", .. })));
    assert_eq!(rows(&path), []);
}

#[tokio::test]
async fn inputs_whose_run_is_never_made_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let many: Vec<Value> = (0..3_000).map(|number| value(&number.to_string())).collect();
    let owned = Owned::new(open(&path, Retention::default())).await;
    let old = owned.store.stage(None, many.clone()).await.unwrap();
    let young = owned.store.stage(None, many.clone()).await.unwrap();
    execute(&path, &format!("UPDATE stages SET put_at = put_at - 3700000000 WHERE no = {}", old.number));
    owned.store.sweep().await.unwrap();
    assert_eq!(rows(&path), [("run_items", 3_000)]);
    let late = owned.store.stage(Some(old), many.clone()).await;
    assert!(matches!(late, Err(StoreError::NotFound { what: "stage", .. })), "{late:?}");
    let young = owned.store.stage(Some(young), vec![value(&long(60_000))]).await.unwrap();
    drop(owned);
    let owned = Owned::new(open(&path, Retention::default())).await;
    let late = owned.store.stage(Some(young), many).await;
    assert!(matches!(late, Err(StoreError::NotFound { what: "stage", .. })), "{late:?}");
    owned.store.sweep().await.unwrap();
    assert_eq!((rows(&path), files(&path)), (Vec::new(), 0));
}

#[tokio::test]
async fn many_small_trees_are_removed_in_few_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path, Retention::default())).await;
    for number in 1..=100 {
        let run = run_id(number);
        owned.store.create(new_run(run)).await.unwrap();
        owned.append(append(run, ending(run, "1"))).await.unwrap();
    }
    let deletes: Vec<_> = (1..=100).map(|number| owned.store.delete(run_id(number))).collect();
    for delete in deletes {
        assert_eq!(delete.await.unwrap(), Deleted::Gone);
    }
    let before = owned.store.gauge().commits;
    owned.store.sweep().await.unwrap();
    assert!(owned.store.gauge().commits - before < 400);
    assert_eq!(rows(&path), []);
}

#[tokio::test]
async fn the_key_of_a_deleted_run_is_free_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path, Retention::default())).await;
    let keyed = |number| NewRun { idempotency_key: Some("key".to_owned()), ..new_run(run_id(number)) };
    owned.store.create(keyed(1)).await.unwrap();
    owned.append(append(run_id(1), ending(run_id(1), "1"))).await.unwrap();
    owned.store.delete(run_id(1)).await.unwrap();
    owned.store.sweep().await.unwrap();
    assert_eq!(owned.store.create(keyed(2)).await.unwrap(), Created::Existing(run_id(1)));
    execute(&path, "UPDATE idempotency SET expires_at = expires_at - 86400000000");
    owned.store.sweep().await.unwrap();
    assert_eq!(owned.store.create(keyed(2)).await.unwrap(), Created::New);
}

#[tokio::test]
async fn what_has_ended_goes_when_its_time_is_over_and_what_failed_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let keep = |days| Some(DAY * days);
    let mut owned = Owned::new(open(&path, Retention { runs: keep(2), keep_failed: keep(4) })).await;
    for number in 1..=6 {
        let run = run_id(number);
        owned.store.create(new_run(run)).await.unwrap();
        if number < 6 {
            owned.append(append(run, ending(run, "1"))).await.unwrap();
        }
    }
    let now = jiff::Timestamp::now().as_microsecond();
    for (number, days, status) in [(1, 1, 1), (2, 3, 1), (3, 3, 2), (4, 5, 2), (5, 3, 3)] {
        let ended = now - days * 86_400_000_000;
        let id = format!("{number:032x}");
        execute(&path, &format!("UPDATE runs SET ended_at = {ended}, status = {status} WHERE id = x'{id}'"));
    }
    assert_eq!(owned.store.sweep().await.unwrap(), Swept { runs: 3, ..Swept::default() });
    assert_eq!(owned.store.sweep().await.unwrap(), Swept::default());
    assert_eq!(listed(&owned.store).await, [run_id(6), run_id(3), run_id(1)]);
}

#[tokio::test]
async fn contents_stay_while_something_names_them_and_an_hour_at_least() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path, Retention { runs: Some(Duration::ZERO), keep_failed: None })).await;
    let store = Arc::clone(&owned.store);
    let (in_input, in_result) = (put(&store, "input").await, put(&store, "result").await);
    let part = put(&store, "part").await;
    let whole = put(&store, &format!("{{{part}}}")).await;
    let (alone, long_alone) = (put(&store, "alone").await, put(&store, &"x".repeat(60_000)).await);
    let run = run_id(1);
    let mut new = new_run(run);
    new.append.inputs = vec![(run, vec![value(&format!("[\"{in_input}\"]"))])];
    owned.store.create(new).await.unwrap();
    let result = format!("{{\"whole\":\"blob:{whole}\",\"r\":\"{in_result}\",\"x\":{}}}", long(60_000));
    owned.append(append(run, ending(run, &result)[..3].to_vec())).await.unwrap();
    let there = async |ids: &[BlobId]| {
        let mut there = Vec::new();
        for id in ids {
            there.push(store.get(*id).await.is_ok());
        }
        there
    };
    let all = [in_input, in_result, whole, part, alone, long_alone];
    store.sweep().await.unwrap();
    assert_eq!(there(&all).await, [true; 6], "they are young");
    execute(&path, "UPDATE blobs SET put_at = put_at - 3700000000");
    put(&store, "alone").await;
    let swept = store.sweep().await.unwrap();
    assert_eq!(swept, Swept { runs: 0, blobs: 1, file_bytes: 60_002 }, "the text and its quotes");
    assert_eq!(there(&all).await, [true, true, true, true, true, false], "a content that is put again is young again");
    assert_eq!(files(&path), 1, "the result's");
    execute(&path, "UPDATE blobs SET put_at = put_at - 3700000000");
    let end = Append { after: 4, ..append(run, vec![record(5, ending(run, "1")[3].event.clone())]) };
    owned.append(end).await.unwrap();
    store.sweep().await.unwrap();
    // A part goes after its whole, maybe in the next round.
    store.sweep().await.unwrap();
    assert_eq!(there(&all).await, [false; 6]);
    assert!(matches!(store.get(part).await, Err(StoreError::NotFound { what: "blob", .. })));
    assert_eq!((rows(&path), files(&path)), (Vec::new(), 0));
}
