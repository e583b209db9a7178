//! Values that are too long for rows are files, and nobody notices.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepflow_engine::event::ValueRef;
use stepflow_engine::ports::{Append, Blob, Blobs, Journal, NewRun, StoreError};
use stepflow_protocol::{BlobId, BlobType};
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::Options;
use uuid::Uuid;

use crate::fixtures::{Owned, append, ending, long, new_run, run_id, sub_run, value};

fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(&Options { inline_below: 10_000, ..Options::new(path) }).unwrap()
}

/// All files of long values.
fn files(database: &Path) -> Vec<PathBuf> {
    let mut folders = vec![database.with_extension("db-blobs")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[tokio::test]
async fn long_values_of_events_inputs_and_blobs_are_files_and_are_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let run = run_id(1);
    let (input, output, inner, blob) = (long(10_000), long(10_001), long(10_002), long(10_003));
    let put = |data| Blob { data, blob_type: BlobType::Data };
    let id = {
        let mut owned = Owned::new(open(&path)).await;
        let mut new = new_run(run);
        new.append.inputs = vec![(run, vec![value(&input)])];
        owned.store.create(NewRun { ..new }).await.unwrap();
        let mut records = ending(run, &output);
        records.push(sub_run(6, run_id(2), run));
        let inputs = vec![(run_id(2), vec![value("1"), value(&inner)])];
        owned.append(Append { inputs, ..append(run, records) }).await.unwrap();
        let id = owned.store.put(put(value(&blob))).await.unwrap();
        assert_eq!(files(&path).len(), 4);
        assert_eq!(owned.store.put(put(value(&blob))).await.unwrap(), id);
        owned.store.put(put(value(&long(9_999)))).await.unwrap();
        assert_eq!(files(&path).len(), 4, "what is there is not written again, and what is short is a row");
        id
    };
    assert!(fs::metadata(&path).unwrap().len() < 200_000);
    let owned = Owned::new(open(&path)).await;
    assert_eq!(owned.value(run, ValueRef::Row(4)).await, Some(value(&output)));
    assert_eq!(owned.value(run, ValueRef::Item(run, 0)).await, Some(value(&input)));
    assert_eq!(owned.value(run, ValueRef::Item(run_id(2), 1)).await, Some(value(&inner)));
    assert_eq!(owned.value(run, ValueRef::Blob(id)).await, Some(value(&blob)));
    assert_eq!(owned.store.get(id).await.unwrap().data, value(&blob));
    for file in files(&path) {
        fs::write(file, "\"other\"").unwrap();
    }
    let other = owned.store.get(id).await;
    assert!(names_a_file(&other, id), "{other:?}");
    for file in files(&path) {
        fs::remove_file(file).unwrap();
    }
    let lost = owned.store.get(id).await;
    assert!(names_a_file(&lost, id), "{lost:?}");
    let lost = owned.store.values(run, vec![ValueRef::Blob(id)]).await;
    assert!(names_a_file(&lost, id), "{lost:?}");
}

/// Whether a log says which file is missing or damaged. It is no answer that there is no such run or blob.
fn names_a_file<T>(lost: &Result<T, StoreError>, id: BlobId) -> bool {
    matches!(lost, Err(StoreError::Damaged(why)) if why.contains(&id.to_string()))
}

#[tokio::test]
async fn content_that_many_put_at_once_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path);
    let put = || store.put(Blob { data: value(&long(20_000)), blob_type: BlobType::Data });
    let (first, second, third) = tokio::join!(put(), put(), put());
    assert!(first == second && second == third && first.is_ok());
    assert_eq!(files(&path).len(), 1);
}

#[tokio::test]
async fn a_file_that_a_crash_left_without_a_row_is_taken_away_when_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path);
    let kept = store.put(Blob { data: value(&long(20_000)), blob_type: BlobType::Data }).await.unwrap();
    let file = files(&path).remove(0);
    let beside = |id: Uuid, suffix: &str| {
        let name = format!("{kept}-{}{suffix}", id.simple());
        fs::write(file.with_file_name(&name), "left").unwrap();
        name
    };
    let before = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_000_000_000, 0));
    beside(before, "");
    beside(before, ".part");
    let young = beside(Uuid::now_v7(), "");
    let foreign = file.with_file_name("README");
    fs::write(&foreign, "not ours").unwrap();
    // The first row's file is as old, and named.
    let renamed =
        format!("{kept}-{}", Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_000_000_001, 0)).simple());
    fs::rename(&file, file.with_file_name(&renamed)).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("UPDATE blobs SET file = ?1", [&renamed]).unwrap();
    store.sweep().await.unwrap();
    let mut left: Vec<String> =
        files(&path).iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    left.sort();
    let mut expected = vec!["README".to_owned(), renamed, young];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(store.get(kept).await.unwrap().data, value(&long(20_000)));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_refuses_what_is_long_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    fs::write(path.with_extension("db-blobs"), "a file in the place of the folder").unwrap();
    let (short, too_long) = (run_id(1), run_id(2));
    owned.store.create(new_run(short)).await.unwrap();
    owned.store.create(new_run(too_long)).await.unwrap();
    owned.store.append(append(too_long, ending(too_long, &long(20_000))));
    owned.store.append(append(short, ending(short, "1")));
    let mut answers = [owned.answer().await, owned.answer().await];
    answers.sort_by_key(Result::is_err);
    assert_eq!(answers[0].as_ref().unwrap().root, short);
    let (written, why) = answers[1].clone().unwrap_err();
    assert!(
        written.root == too_long && matches!(&why, StoreError::Unavailable(why) if why.detail.contains("db-blobs")),
        "{why}"
    );
    let put = owned.store.put(Blob { data: value(&long(20_000)), blob_type: BlobType::Data }).await;
    assert!(matches!(put, Err(StoreError::Unavailable(_))), "{put:?}");
}
