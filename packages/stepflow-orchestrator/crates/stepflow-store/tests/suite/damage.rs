//! What a check finds in a database that was damaged, and that it changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use stepflow_engine::ports::{Blob, Blobs as _, Journal as _};
use stepflow_protocol::BlobType;
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::{Error, Options, backup, check, vacuum};

use crate::fixtures::{Owned, append, ending, long, new_run, run_id, value};

fn findings(path: &Path) -> Vec<String> {
    check(&Options::new(path)).unwrap().iter().map(ToString::to_string).collect()
}

fn has(findings: &[String], words: [&str; 2]) -> bool {
    findings.iter().any(|finding| words.iter().all(|word| finding.contains(word)))
}

/// The contents of all files of a folder but lock files.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "lock"));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A database at rest with two trees, one of them with a value beside its journal.
async fn filled(folder: &Path) -> PathBuf {
    let path = folder.join("state.db");
    let mut owned = Owned::new(SqliteStore::open(&Options::new(&path)).unwrap()).await;
    for (run, result) in [(run_id(1), long(5_000)), (run_id(2), "1".to_owned())] {
        owned.store.create(new_run(run)).await.unwrap();
        owned.append(append(run, ending(run, &result))).await.unwrap();
    }
    owned.store.close().await;
    path
}

#[tokio::test]
async fn texts_that_are_none_are_found_with_their_places_and_the_rest_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path()).await;
    let broken = "CAST(x'22ff22' AS TEXT)";
    let sql = format!(
        "UPDATE journal SET body = {broken} WHERE k >> 32 = 1; UPDATE vals SET body = {broken};
         UPDATE flows SET body = {broken}; UPDATE steps SET status = 1"
    );
    Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
    let found = findings(&path);
    for words in [
        ["run 00000000-0000-0000-0000-000000000001", "the journal cannot be read behind sequence 0: invalid utf-8"],
        ["row 4294967298 of table `vals`", "it is no value"],
        ["flow ", "its text is another one"],
        ["run 00000000-0000-0000-0000-000000000002", "its row says Some((Runnable"],
    ] {
        assert!(has(&found, words), "{words:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_read_does_not_hide_other_faults() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path()).await;
    let connection = Connection::open(&path).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_journal_1'";
    let page: u64 = connection.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap().into();
    connection.execute_batch("UPDATE flows SET body = '{}'; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 4_096], (page - 1) * 4_096).unwrap();
    let found = findings(&path);
    for words in [["run 0", "malformed"], ["flow ", "its text is another one"]] {
        assert!(has(&found, words), "{words:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path()).await;
    let before = contents(folder.path());
    assert_eq!(findings(&path), [""; 0]);
    assert!(contents(folder.path()) == before, "at rest");
    // As a server leaves it that was killed.
    let killed = tempfile::tempdir().unwrap();
    let owned = Owned::new(SqliteStore::open(&Options::new(&path)).unwrap()).await;
    let id = owned.store.put(Blob { data: value("3"), blob_type: BlobType::Data }).await.unwrap();
    for file in ["state.db", "state.db-wal"] {
        fs::copy(folder.path().join(file), killed.path().join(file)).unwrap();
    }
    let before = contents(killed.path());
    assert_eq!(before.len(), 2);
    assert_eq!(findings(&killed.path().join("state.db")), [""; 0]);
    assert!(contents(killed.path()) == before, "after a kill");
    let store = SqliteStore::open(&Options::new(killed.path().join("state.db"))).unwrap();
    assert_eq!(store.get(id).await.unwrap().data, value("3"));
}

#[tokio::test]
async fn a_copy_and_a_check_need_no_room_beside_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (path, killed) = (folder.path().join("a/state.db"), folder.path().join("b/state.db"));
    let mut owned = Owned::new(SqliteStore::open(&Options::new(&path)).unwrap()).await;
    owned.store.create(new_run(run_id(1))).await.unwrap();
    owned.append(append(run_id(1), ending(run_id(1), "1"))).await.unwrap();
    // In the place of the index of the WAL there is something that cannot be written.
    fs::create_dir_all(killed.with_extension("db-shm")).unwrap();
    for suffix in ["db", "db-wal"] {
        fs::copy(path.with_extension(suffix), killed.with_extension(suffix)).unwrap();
    }
    assert_eq!(findings(&killed), [""; 0]);
    let copy = folder.path().join("copy.db");
    backup(&Options::new(&killed), &copy).unwrap();
    let owned = Owned::new(SqliteStore::open(&Options::new(&copy)).unwrap()).await;
    assert!(owned.store.find(run_id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_that_lost_its_content_is_not_taken_for_a_new_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    fs::write(&path, "").unwrap();
    assert_eq!(findings(&path), ["the file: it is empty"]);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "nothing is made in it");
    assert!(SqliteStore::open(&Options::new(&path)).is_ok(), "a server that was killed at once leaves such a file");
    for remains in ["state.db-blobs/0123456789abcdef", "state.db-wal"] {
        let folder = tempfile::tempdir().unwrap();
        let (path, remains) = (folder.path().join("state.db"), folder.path().join(remains));
        fs::write(&path, "").unwrap();
        fs::create_dir_all(remains.parent().unwrap()).unwrap();
        fs::write(remains, "something").unwrap();
        for refused in [SqliteStore::open(&Options::new(&path)).map(drop), vacuum(&Options::new(&path)).map(drop)] {
            assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }
    let path = folder.path().join("short.db");
    fs::write(&path, "S").unwrap();
    let refused = SqliteStore::open(&Options::new(&path)).map(drop);
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_database_whose_name_is_damaged_is_called_damaged() {
    for id in ["CAST(x'ff' AS TEXT)", "'../..'", "7", "NULL"] {
        let folder = tempfile::tempdir().unwrap();
        let path = filled(folder.path()).await;
        let sql = format!("UPDATE meta SET value = {id} WHERE key = 'id'");
        Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
        let refused = SqliteStore::open(&Options::new(&path)).map(drop);
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{id}: {refused:?}");
        assert!(has(&findings(&path), ["the file", "is damaged"]), "{id}");
    }
}
