//! Backups that are put in the place of a database, and those that are copied over one by hand.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use stepflow_engine::event::ValueRef;
use stepflow_engine::ports::{Blob, Blobs as _, Journal as _};
use stepflow_protocol::{BlobType, RunId};
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::{Error, Options, backup, check, restore, vacuum};

use crate::fixtures::{Owned, append, ending, long, new_run, run_id, value};

fn options(path: &Path) -> Options {
    Options { inline_below: 10_000, ..Options::new(path) }
}

fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(&options(path)).unwrap()
}

/// A tree with a long value.
async fn fill(owned: &mut Owned<SqliteStore>, run: RunId) {
    owned.store.create(new_run(run)).await.unwrap();
    owned.append(append(run, ending(run, &long(20_000)))).await.unwrap();
}

/// Whether the database has this tree, and its long value.
async fn has(options: &Options, run: RunId) -> bool {
    let owned = Owned::new(SqliteStore::open(options).unwrap()).await;
    if owned.store.find(run).await.unwrap().is_none() {
        return false;
    }
    assert_eq!(owned.value(run, ValueRef::Row(4)).await, Some(value(&long(20_000))));
    true
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => assert!(fs::copy(entry.path(), to).is_ok()),
        }
    }
}

/// A folder with the database of a server that was killed, and a backup of before: the first tree is in both, the second
/// one is not in the backup.
async fn killed(folder: &Path) -> (PathBuf, PathBuf) {
    let alive = folder.join("alive");
    let copy = folder.join("b.db");
    let mut owned = Owned::new(open(&alive.join("state.db"))).await;
    fill(&mut owned, run_id(1)).await;
    backup(&options(&alive.join("state.db")), &copy).unwrap();
    fill(&mut owned, run_id(2)).await;
    copy_folder(&alive, &folder.join("killed"));
    let path = folder.join("killed/state.db");
    assert!(fs::metadata(path.with_extension("db-wal")).unwrap().len() > 0);
    (path, copy)
}

fn asides(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with("state.db.before-"));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_takes_the_place_of_a_database_that_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = killed(folder.path()).await;
    let moved = restore(&options(&path), &copy).unwrap();
    assert_eq!(check(&options(&path)).unwrap(), []);
    assert!(has(&options(&path), run_id(1)).await && !has(&options(&path), run_id(2)).await);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let names = asides(&path);
    let endings: Vec<&str> = names.iter().map(|name| name.trim_start_matches(|next| next != 'Z')).collect();
    assert_eq!(endings, ["Z", "Z-blobs", "Z-shm", "Z-wal"][..]);
    assert_eq!(moved.len(), names.len(), "{moved:?}");
    let before = moved[0].clone();
    assert_eq!(check(&options(&before)).unwrap(), []);
    assert!(has(&options(&before), run_id(2)).await);
    // And back again, with what stands in its WAL.
    restore(&options(&path), &before).unwrap();
    assert!(has(&options(&path), run_id(1)).await && has(&options(&path), run_id(2)).await);
}

#[tokio::test]
async fn a_backup_is_a_database_where_there_was_none() {
    let folder = tempfile::tempdir().unwrap();
    let (_, copy) = killed(folder.path()).await;
    let path = folder.path().join("new/state.db");
    let blobs = folder.path().join("longs");
    let elsewhere = Options { blobs: Some(blobs.clone()), ..options(&path) };
    assert_eq!(restore(&elsewhere, &copy).unwrap(), [] as [PathBuf; 0]);
    assert!(has(&elsewhere, run_id(1)).await);
    assert!(!path.with_extension("db-blobs").exists(), "large values are where the settings say");
    let moved = restore(&elsewhere, &copy).unwrap();
    assert!(moved.iter().any(|path| path.starts_with(&blobs)), "{moved:?}");
    assert!(has(&elsewhere, run_id(1)).await);
    let before = Options { blobs: moved.last().cloned(), ..options(&moved[0]) };
    assert_eq!(check(&before).unwrap(), []);
}

#[tokio::test]
async fn a_backup_that_was_copied_over_a_database_is_refused_while_that_ones_wal_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = killed(folder.path()).await;
    fs::copy(&copy, &path).unwrap();
    let refused = [
        SqliteStore::open(&options(&path)).map(drop),
        check(&options(&path)).map(drop),
        vacuum(&options(&path)).map(drop),
        backup(&options(&path), &folder.path().join("c.db")),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::StrangeWal { .. })), "{refused:?}");
        assert!(refused.unwrap_err().to_string().contains("stepflow db restore"));
    }
    restore(&options(&path), &copy).unwrap();
    assert!(has(&options(&path), run_id(1)).await && !has(&options(&path), run_id(2)).await);
}

#[tokio::test]
async fn a_backup_that_was_opened_is_a_database_with_a_wal_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = killed(folder.path()).await;
    fs::remove_file(path.with_extension("db-wal")).unwrap();
    fs::copy(&copy, &path).unwrap();
    let store = open(&path);
    let id = store.put(Blob { data: value("3"), blob_type: BlobType::Data }).await.unwrap();
    let again = folder.path().join("again");
    copy_folder(path.parent().unwrap(), &again);
    assert!(fs::metadata(again.join("state.db-wal")).unwrap().len() > 0);
    let again = open(&again.join("state.db"));
    assert_eq!(again.get(id).await.unwrap().data, value("3"), "killed before its WAL was copied");
}

#[tokio::test]
async fn what_was_interrupted_is_refused_until_it_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = killed(folder.path()).await;
    // The copy is in place, and the WAL and the large values of before are not moved yet.
    let before = path.with_extension("db.before-20260102T030405006Z");
    fs::rename(&path, &before).unwrap();
    fs::copy(&copy, &path).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"SfRs", 68).unwrap();
    for _ in 0..2 {
        let refused = SqliteStore::open(&options(&path)).map(drop);
        assert!(matches!(refused, Err(Error::HalfRestored { .. })), "{refused:?}");
    }
    restore(&options(&path), &copy).unwrap();
    assert!(has(&options(&path), run_id(1)).await && !has(&options(&path), run_id(2)).await);
    assert!(has(&options(&before), run_id(2)).await, "its WAL and its large values are beside it");
}

#[tokio::test]
async fn what_was_kept_before_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = killed(folder.path()).await;
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"SfRs", 68).unwrap();
    let earlier = path.with_extension("db.before-20260102T030405006Z-wal");
    fs::write(&earlier, "of another database").unwrap();
    let moved = restore(&options(&path), &copy).unwrap();
    assert_eq!(fs::read(&earlier).unwrap(), b"of another database");
    assert!(moved.iter().any(|path| path != &earlier && path.to_str().unwrap().ends_with("-wal")), "{moved:?}");
}

#[tokio::test]
async fn what_is_no_sound_backup_and_what_a_server_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = killed(folder.path()).await;
    let whole = fs::read(&path).unwrap();
    let refused = |from: &Path, words: &str| {
        let refused = restore(&options(&path), from).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
        assert!(fs::read(&path).unwrap() == whole && asides(&path).is_empty());
    };
    refused(&folder.path().join("nothing.db"), "there is no such file");
    refused(&path, "this file itself");
    let other = folder.path().join("other.db");
    fs::write(&other, "no database").unwrap();
    refused(&other, "other.db");
    Connection::open(folder.path().join("foreign.db")).unwrap().execute_batch("CREATE TABLE meta (x)").unwrap();
    refused(&folder.path().join("foreign.db"), "another program");
    let bad = folder.path().join("bad.db");
    fs::copy(&copy, &bad).unwrap();
    refused(&bad, "is not there");
    copy_folder(&copy.with_extension("db-blobs"), &bad.with_extension("db-blobs"));
    Connection::open(&bad).unwrap().execute_batch("UPDATE flows SET body = '{}'").unwrap();
    refused(&bad, "its text is another one");
    let new = folder.path().join("new/state.db");
    assert!(restore(&options(&new), &bad).is_err() && !new.exists());
    let _store = open(&new);
    assert!(matches!(restore(&options(&new), &copy), Err(Error::Held { .. })));
}
