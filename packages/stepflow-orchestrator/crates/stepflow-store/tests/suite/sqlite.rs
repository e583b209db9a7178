//! What only the store in SQLite does: the content of its file, and what happens to the file.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use stepflow_engine::Shards;
use stepflow_engine::event::{Event, Record, ValueRef};
use stepflow_engine::ports::{Append, Created, Journal, NewRun, StoreError};
use stepflow_protocol::{RunId, Value};
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::{Error, Options};
use tokio::sync::mpsc;

use crate::fixtures::{Answers, Owned, append, ending, long, new_run, plan, record, run_id, value};

pub fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(&Options::new(path)).unwrap()
}

/// Why the database cannot be opened.
fn refusal(path: &Path) -> Error {
    SqliteStore::open(&Options::new(path)).err().unwrap()
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Events that say nothing, behind the first one.
fn silent(n: u64, bytes: usize) -> Vec<Arc<Record>> {
    let event = |seq| match &ending(run_id(1), &long(bytes))[0].event {
        Event::AttemptEnded(ended) => record(seq, Event::AttemptEnded(ended.clone())),
        _ => unreachable!(),
    };
    (2..n + 2).map(event).collect()
}

async fn records(store: &SqliteStore, run: RunId) -> Vec<Arc<Record>> {
    store.read(run, 0, usize::MAX).await.unwrap().records
}

#[tokio::test]
async fn what_was_stored_is_there_after_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/state.db");
    let run = run_id(1);
    let keyed = |run| NewRun { idempotency_key: Some("key".to_owned()), ..new_run(run) };
    let written = {
        let mut owned = Owned::new(open(&path)).await;
        owned.store.create(keyed(run)).await.unwrap();
        owned.append(append(run, ending(run, "[1]"))).await.unwrap();
        owned.store.create(new_run(run_id(2))).await.unwrap();
        owned.store.leave(Shards::ALL).await.unwrap();
        records(&owned.store, run).await
    };
    assert!(!path.with_extension("db-wal").exists(), "all of it is in the database");
    let store = open(&path);
    let (sender, _answers) = mpsc::unbounded_channel();
    let owned = store.own(Shards::ALL, Arc::new(Answers(sender))).await.unwrap();
    assert!(owned.len() == 256 && owned.iter().all(|owned| owned.epoch == 2 && owned.clean));
    assert_eq!((written.len(), records(&store, run).await), (5, written));
    assert_eq!(store.create(keyed(run_id(3))).await.unwrap(), Created::Existing(run));
    assert_eq!(store.flow(plan().flow_id).await.unwrap().unwrap().flow_id, plan().flow_id);
    let open = store.open_roots(Shards::ALL, None, 10).await.unwrap();
    assert_eq!(open.into_iter().map(|open| open.root).collect::<Vec<_>>(), [run_id(2)]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
}

#[tokio::test]
async fn what_is_asked_for_at_once_shares_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut owned = Owned::new(open(&folder.path().join("state.db"))).await;
    let before = owned.store.gauge();
    let creates: Vec<_> = (1..=200).map(|number| owned.store.create(new_run(run_id(number)))).collect();
    for number in 1..=200 {
        owned.store.append(append(run_id(number), ending(run_id(number), "1")));
    }
    for _ in 1..=200 {
        owned.answer().await.unwrap();
    }
    for created in creates {
        assert_eq!(created.await.unwrap(), Created::New);
    }
    let gauge = owned.store.gauge();
    assert_eq!(gauge.entries - before.entries, 400);
    assert!(gauge.commits - before.commits < 100 && gauge.largest_batch > 4, "{gauge:?}");
}

#[tokio::test]
async fn what_is_refused_spoils_nothing_but_what_follows_it_in_its_tree() {
    let folder = tempfile::tempdir().unwrap();
    let mut owned = Owned::new(open(&folder.path().join("state.db"))).await;
    let (good, bad) = (run_id(1), run_id(2));
    owned.store.create(new_run(good)).await.unwrap();
    owned.store.create(new_run(bad)).await.unwrap();
    owned.store.append(Append { after: 2, ..append(bad, ending(bad, "1")) });
    owned.store.append(append(good, ending(good, "1")));
    owned.store.append(append(bad, ending(bad, "1")));
    let mut failed = Vec::new();
    let mut committed = Vec::new();
    while failed.len() + committed.len() < 3 {
        match owned.answer().await {
            Ok(written) => committed.push(written.root),
            Err((written, why)) => failed.push((written.root, why)),
        }
    }
    let why = StoreError::Conflict { after: 2, last: 1 };
    assert_eq!((committed, failed), (vec![good], vec![(bad, why.clone()), (bad, why)]));
    assert_eq!(records(&owned.store, bad).await.len(), 1);
    owned.append(Append { incarnation: 2, ..append(bad, ending(bad, "1")) }).await.unwrap();
}

#[tokio::test]
async fn who_is_not_the_owner_any_more_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("state.db"));
    let run = run_id(1);
    Owned::new(Arc::clone(&store)).await.store.create(new_run(run)).await.unwrap();
    let mut owned = Owned::new(store).await;
    let fenced = Err(StoreError::Fenced { ours: 1, theirs: 2 });
    assert_eq!(owned.append(append(run, ending(run, "1"))).await, fenced);
    let created = owned.store.create(new_run(run_id(2))).await;
    assert_eq!(created, Err(StoreError::Fenced { ours: 1, theirs: 2 }));
    owned.append(Append { epoch: 2, incarnation: 2, ..append(run, ending(run, "1")) }).await.unwrap();
    assert_eq!(owned.store.read(run, 0, usize::MAX).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn long_values_stand_beside_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    let (short, just_long) = (run_id(1), run_id(2));
    for (run, bytes) in [(short, 2_047), (just_long, 2_048)] {
        owned.store.create(new_run(run)).await.unwrap();
        owned.append(append(run, ending(run, &long(bytes)))).await.unwrap();
        for row in [2, 3, 4] {
            assert_eq!(owned.value(run, ValueRef::Row(row)).await, Some(value(&long(bytes))), "row {row}");
        }
    }
    assert_eq!(records(&owned.store, short).await[1..], ending(short, &long(2_047)));
    let Event::AttemptEnded(ended) = &records(&owned.store, just_long).await[1].event.clone() else { panic!() };
    assert_eq!(ended.payload, Some(ValueRef::Row(2)), "it says where its value is");
    drop(owned);
    assert_eq!(number(&path, "SELECT count(*) FROM vals"), 1);
}

#[tokio::test]
async fn long_appends_are_several_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    for (number, n, bytes, rows) in [(1, 600, 10, 3), (2, 100, 2_000, 4)] {
        let run = run_id(number);
        owned.store.create(new_run(run)).await.unwrap();
        owned.append(append(run, silent(n, bytes))).await.unwrap();
        let mut after = 0;
        while let Some(last) = owned.store.read(run, after, 10_000).await.unwrap().records.last() {
            after = last.seq;
        }
        assert_eq!((after, records(&owned.store, run).await.len() as u64), (n + 1, n + 1));
        assert_eq!(owned.value(run, ValueRef::Row(n)).await.map(|value| value.size()), Some(bytes));
        let sql = format!("SELECT count(*) - 1 FROM journal WHERE k >> 32 = {number}");
        let connection = Connection::open(&path).unwrap();
        assert_eq!(connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap(), rows);
    }
}

#[tokio::test]
async fn the_rows_say_what_the_events_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let run = run_id(1);
    {
        let mut owned = Owned::new(open(&path)).await;
        owned.store.create(new_run(run)).await.unwrap();
        owned.append(append(run, ending(run, "1"))).await.unwrap();
    }
    let sql = "SELECT count(*) FROM runs JOIN item_ends ON item_ends.k = no << 32 JOIN steps ON run_no = no
               WHERE runs.status = 1 AND total = 1 AND completed = 1 AND failed = 0 AND item_ends.status = 1
               AND result_seq = 4 AND steps.status = 3 AND last_seq = 3 AND runs.ended_at = 0";
    assert_eq!(number(&path, sql), 1);
}

#[test]
fn a_database_that_another_process_has_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path);
    let refused = refusal(&path).to_string();
    assert!(refused.contains(&format!("in use by process {} on ", std::process::id())), "{refused}");
    drop(store);
    open(&path);
}

#[test]
fn a_database_of_a_newer_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    open(&path);
    Connection::open(&path).unwrap().execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'", []).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, Error::Newer { found: 99, .. }), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_whole_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(Owned::new(open(&path)).await);
    let whole = fs::metadata(&path).unwrap().len();
    for length in [whole / 2, 4_096, 1_000] {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let refused = refusal(&path);
        assert!(matches!(refused, Error::Damaged { .. }), "{length} bytes: {refused}");
    }
    fs::write(&path, "this is no database, and it is long enough to see that".repeat(100)).unwrap();
    assert!(matches!(refusal(&path), Error::Damaged { .. }));
}

#[tokio::test]
async fn what_was_asked_for_is_stored_though_nobody_waits_and_the_store_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path);
    let reading = store.read(run_id(1), 0, usize::MAX);
    drop(store.create(new_run(run_id(1))));
    drop(store);
    let lost = reading.await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert_eq!(records(&open(&path), run_id(1)).await.len(), 1);
}

#[tokio::test]
async fn a_store_that_is_closed_has_stored_all_and_lets_the_database_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    let run = run_id(1);
    let created = owned.store.create(new_run(run));
    owned.store.append(append(run, ending(run, "1")));
    owned.store.close().await;
    assert!(!folder.path().join("state.db-wal").exists());
    assert_eq!(created.await.unwrap(), Created::New);
    assert_eq!(owned.answer().await.unwrap().upto, 5);
    assert_eq!(records(&open(&path), run).await.len(), 5);
    owned.store.close().await;
    let late = owned.store.create(new_run(run_id(2))).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    assert!(matches!(owned.store.find(run).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_store_that_an_answer_holds_last_ends_itself() {
    struct Holder(Answers, std::sync::Mutex<Option<Arc<SqliteStore>>>);
    impl stepflow_engine::ports::Commits for Holder {
        fn committed(&self, appends: Vec<stepflow_engine::ports::AppendRef>) {
            drop(self.1.lock().unwrap().take());
            self.0.committed(appends);
        }

        fn failed(&self, appends: Vec<stepflow_engine::ports::AppendRef>, why: StoreError) {
            self.0.failed(appends, why);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path);
    let (sender, mut answers) = mpsc::unbounded_channel();
    let holder = Holder(Answers(sender), std::sync::Mutex::new(Some(Arc::clone(&store))));
    store.own(Shards::ALL, Arc::new(holder)).await.unwrap();
    let run = run_id(1);
    store.create(new_run(run)).await.unwrap();
    store.append(append(run, ending(run, "1")));
    drop(store);
    assert!(answers.recv().await.unwrap().is_ok());
}

#[tokio::test]
async fn after_an_error_everything_waits_for_the_disk_and_then_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    let run = run_id(1);
    owned.store.create(new_run(run)).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("ALTER TABLE journal RENAME TO away").unwrap();
    let failed = owned.append(append(run, ending(run, "1"))).await;
    assert!(matches!(&failed, Err(StoreError::Unavailable(why)) if why.detail.contains("state.db")), "{failed:?}");
    other.execute_batch("ALTER TABLE away RENAME TO journal").unwrap();
    assert_eq!(owned.append(append(run, ending(run, "1"))).await, failed, "the same incarnation stays refused");
    owned.append(Append { incarnation: 2, ..append(run, ending(run, "1")) }).await.unwrap();
    let read: Vec<Value> =
        owned.store.values(run, vec![ValueRef::Row(4)]).await.unwrap().into_iter().flatten().collect();
    assert_eq!(read, [value("1")]);
}

#[tokio::test]
async fn the_wal_is_copied_as_it_grows_and_cut_when_there_is_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    let wal = folder.path().join("state.db-wal");
    for number in 1..=30 {
        let run = run_id(number);
        owned.store.create(new_run(run)).await.unwrap();
        owned.append(append(run, ending(run, &long((1 << 20) - 1)))).await.unwrap();
    }
    let gauge = owned.store.gauge();
    assert!(gauge.wal_written > 30 << 20 && gauge.wal_bytes < 24 << 20, "{gauge:?}");
    assert!(fs::metadata(&wal).unwrap().len() < 24 << 20);
    let mut waited = 0;
    while fs::metadata(&wal).unwrap().len() > 0 {
        waited += 1;
        assert!(waited < 200, "nobody cuts it");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(records(&owned.store, run_id(30)).await.len(), 5);
}
