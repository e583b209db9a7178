//! Copies of a database, checks of it, and giving back room.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use stepflow_engine::event::ValueRef;
use stepflow_engine::ports::{Append, Blob, Blobs, Journal, NewRun};
use stepflow_protocol::{BlobType, RunId};
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::{Error, Options, backup, check, vacuum};

use crate::fixtures::{Owned, append, ending, long, new_run, run_id, sub_run, value};

fn options(path: &Path) -> Options {
    Options { inline_below: 50_000, ..Options::new(path) }
}

fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(&options(path)).unwrap()
}

/// A tree with values of all lengths, short ones in its events.
async fn fill(owned: &mut Owned<SqliteStore>, run: RunId, inner: RunId) {
    let mut new = new_run(run);
    new.append.inputs = vec![(run, vec![value(&long(60_000))])];
    owned.store.create(NewRun { ..new }).await.unwrap();
    let mut records = ending(run, &long(70_000));
    records.push(sub_run(6, inner, run));
    let inputs = vec![(inner, vec![value("1"), value(&long(3_000))])];
    owned.append(Append { inputs, ..append(run, records) }).await.unwrap();
    let long = owned.store.put(Blob { data: value(&long(80_000)), blob_type: BlobType::Data });
    long.await.unwrap();
    owned.store.put(Blob { data: value("\"short\""), blob_type: BlobType::Data }).await.unwrap();
}

/// A database at rest, with a tree.
async fn filled(folder: &Path) -> PathBuf {
    let path = folder.join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    fill(&mut owned, run_id(1), run_id(2)).await;
    owned.store.close().await;
    path
}

fn findings(path: &Path) -> Vec<String> {
    check(&options(path)).unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_database_as_it_should_be_has_no_findings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    fill(&mut owned, run_id(1), run_id(2)).await;
    fill(&mut owned, run_id(3), run_id(4)).await;
    owned.store.delete(run_id(3)).await.unwrap();
    let held = check(&options(&path)).unwrap_err();
    assert!(matches!(held, Error::Held { .. }), "{held}");
    drop(owned);
    assert_eq!(findings(&path), [""; 0]);
}

#[tokio::test]
async fn whatever_is_not_as_it_should_be_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path()).await;
    for (sql, expected) in [
        ("UPDATE runs SET status = 0 WHERE id = x'00000000000000000000000000000001'", "its row says Running"),
        ("UPDATE runs SET completed = 0 WHERE id = x'00000000000000000000000000000001'", "completed: 0"),
        ("DELETE FROM runs WHERE id = x'00000000000000000000000000000002'", "it has no row"),
        ("DELETE FROM runs WHERE id = x'00000000000000000000000000000001'", "rows are of a run that is not there"),
        ("DELETE FROM journal WHERE no = 1", "the journal has a gap behind sequence 0"),
        ("UPDATE journal SET body = replace(body, 'run_ended', 'run_enden')", "the journal cannot be read behind"),
        ("UPDATE journal SET n = 9", "the journal has a gap"),
        ("DELETE FROM vals", "the value of sequence 2 is not there"),
        ("DELETE FROM steps", "step 0 of item 0"),
        ("UPDATE steps SET status = 1", "its row says Some((Runnable"),
        ("DELETE FROM item_ends", "1 items have ended, and 0 have a row"),
        ("DELETE FROM run_items WHERE input = '1'", "it has 2 items and 1 inputs"),
        ("UPDATE run_items SET input = '{' WHERE input = '1'", "it is no value"),
        ("UPDATE blobs SET inline = '\"other\"' WHERE inline IS NOT NULL", "its content is another one"),
        ("UPDATE flows SET body = '{}'", "its text is another one"),
        ("DELETE FROM flows", "rows are of a flow that is not there"),
        ("INSERT INTO had VALUES (9, x'00', 1)", "table `had`: 1 rows are of a run"),
        ("INSERT INTO timers VALUES (9, x'00', 1)", "table `timers`: 1 rows are of a run"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let to = copy.path().join("copy.db");
        backup(&options(&path), &to).unwrap();
        Connection::open(&to).unwrap().execute_batch(sql).unwrap();
        let findings = findings(&to);
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{sql}: {findings:?}");
    }
    assert_eq!(findings(&path), [""; 0]);
}

#[tokio::test]
async fn a_file_that_is_lost_or_another_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path()).await;
    let mut folders = vec![path.with_extension("db-blobs")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    fs::remove_file(&files[0]).unwrap();
    fs::write(&files[1], "\"other\"").unwrap();
    let findings = findings(&path);
    let told = |what: &str, file: &Path| {
        let name = file.file_name().unwrap().to_str().unwrap();
        findings.iter().any(|finding| finding.contains(what) && finding.contains(name))
    };
    assert!(told("is not there", &files[0]) && told("is another one", &files[1]), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_whole_though_a_server_goes_on_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let to = folder.path().join("copies/copy.db");
    fs::create_dir(to.parent().unwrap()).unwrap();
    let mut owned = Owned::new(open(&path)).await;
    for number in 0..50 {
        fill(&mut owned, run_id(1_000 + 2 * number), run_id(1_001 + 2 * number)).await;
    }
    let copying = {
        let (path, to) = (path.clone(), to.clone());
        tokio::task::spawn_blocking(move || backup(&options(&path), &to))
    };
    let mut number = 1;
    while !copying.is_finished() {
        fill(&mut owned, run_id(2 * number), run_id(2 * number + 1)).await;
        owned.store.delete(run_id(2 * number)).await.unwrap();
        number += 1;
    }
    copying.await.unwrap().unwrap();
    assert_eq!(findings(&to), [""; 0]);
    let mode = fs::metadata(&to).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let left: Vec<_> = fs::read_dir(to.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().contains(".part")), "{left:?}");
    let copied = Owned::new(open(&to)).await;
    assert_eq!(copied.value(run_id(1_000), ValueRef::Row(4)).await, Some(value(&long(70_000))));
    assert_eq!(copied.value(run_id(1_000), ValueRef::Item(run_id(1_000), 0)).await, Some(value(&long(60_000))));
    let again = backup(&options(&path), &to).unwrap_err().to_string();
    assert!(again.contains("exists already"), "{again}");
}

#[tokio::test]
async fn a_copy_without_one_of_its_long_values_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path()).await;
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(path.with_extension("db-blobs"), &elsewhere).unwrap();
    let to = folder.path().join("copy.db");
    let refused = backup(&options(&path), &to).unwrap_err().to_string();
    assert!(refused.contains("a large value is missing") && refused.contains("--blobs"), "{refused}");
    let left = |name: &str| folder.path().join(name).exists();
    assert!(!left("copy.db") && !left("copy.db-blobs") && !left("copy.db.part"));
    backup(&Options { blobs: Some(elsewhere), ..options(&path) }, &to).unwrap();
    assert_eq!(findings(&to), [""; 0]);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_copied_or_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    assert!(matches!(backup(&options(&path), &folder.path().join("copy.db")), Err(Error::CannotOpen { .. })));
    assert!(matches!(check(&options(&path)), Err(Error::CannotOpen { .. })));
    assert!(matches!(vacuum(&options(&path)), Err(Error::CannotOpen { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made of it");
    let copied = |path: &Path| backup(&options(path), &folder.path().join("copy.db")).unwrap_err().to_string();
    let (empty, foreign) = (folder.path().join("empty.db"), folder.path().join("foreign.db"));
    fs::write(&empty, "").unwrap();
    assert!(copied(&empty).ends_with("it is empty"), "{}", copied(&empty));
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE runs (x)").unwrap();
    assert!(copied(&foreign).contains("another program"), "{}", copied(&foreign));
    let path = filled(folder.path()).await;
    let nowhere = backup(&options(&path), &folder.path().join("no/copy.db")).unwrap_err().to_string();
    assert!(nowhere.starts_with("cannot copy `"), "{nowhere}");
}

#[tokio::test]
async fn a_vacuum_gives_the_room_of_deleted_trees_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    for number in 1..=20 {
        let run = run_id(number);
        owned.store.create(new_run(run)).await.unwrap();
        owned.append(append(run, ending(run, &long(40_000)))).await.unwrap();
        if number > 1 {
            owned.store.delete(run).await.unwrap();
        }
    }
    assert!(matches!(vacuum(&options(&path)), Err(Error::Held { .. })));
    drop(owned);
    let room = vacuum(&options(&path)).unwrap();
    assert!(room.before > 800_000 && room.after < 300_000, "{room:?}");
    assert_eq!(fs::metadata(&path).unwrap().len(), room.after);
    assert_eq!(findings(&path), [""; 0]);
    let owned = Owned::new(open(&path)).await;
    assert_eq!(owned.value(run_id(1), ValueRef::Row(4)).await, Some(value(&long(40_000))));
}
