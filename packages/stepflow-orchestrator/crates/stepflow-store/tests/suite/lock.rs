//! A database belongs to one store, whatever its name and whoever deletes what stands beside it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use stepflow_engine::ports::Journal;
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::{Error, Options, backup, check, vacuum};

use crate::fixtures::{Owned, append, ending, new_run, run_id};

fn is_refused(path: &Path) -> bool {
    let options = Options::new(path);
    let opened = SqliteStore::open(&options).map(drop);
    let refused = [opened, check(&options).map(drop), vacuum(&options).map(drop)];
    refused.iter().all(|refused| matches!(refused, Err(Error::Held { .. })))
}

#[tokio::test]
async fn a_link_to_a_database_is_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let link = folder.path().join("elsewhere").join("link.db");
    fs::create_dir(link.parent().unwrap()).unwrap();
    symlink("../state.db", &link).unwrap();
    let run = run_id(1);
    {
        let mut owned =
            Owned::new(SqliteStore::open(&Options { inline_below: 0, ..Options::new(&link) }).unwrap()).await;
        assert!(is_refused(&path));
        owned.store.create(new_run(run)).await.unwrap();
        owned.append(append(run, ending(run, "1"))).await.unwrap();
        assert!(folder.path().join("state.db-wal").exists() && folder.path().join("state.db-blobs").is_dir());
    }
    let _store = SqliteStore::open(&Options::new(&path)).unwrap();
    assert!(is_refused(&link));
    backup(&Options::new(&link), &folder.path().join("copy.db")).unwrap();
    assert_eq!(check(&Options::new(folder.path().join("copy.db"))).unwrap(), []);
    assert_eq!(fs::read_dir(link.parent().unwrap()).unwrap().count(), 1, "nothing is made beside the link");
}

#[test]
fn a_path_at_which_no_file_or_folder_can_be_is_refused_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("text.txt"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    let refusal = |options: Options| SqliteStore::open(&options).map(drop).unwrap_err().to_string();
    for (path, words) in [
        (at("text.txt/a/x.db"), "text.txt` is a file, not a folder"),
        (at("folder"), "it is a folder, not a file"),
        ("/dev/null".into(), "it is no regular file"),
    ] {
        let refused = refusal(Options::new(path));
        assert!(refused.contains(words), "{refused}");
    }
    assert!(!Path::new("/dev/null.lock").exists());
    let refused = refusal(Options { blobs: Some(at("text.txt")), ..Options::new(at("state.db")) });
    assert!(refused.contains("text.txt` is a file, not a folder"), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_deletes_the_lock_file_lets_no_other_store_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let owned = Owned::new(SqliteStore::open(&Options::new(&path)).unwrap()).await;
    fs::remove_file(folder.path().join("state.db.lock")).unwrap();
    assert!(is_refused(&path) && is_refused(&path));
    owned.store.create(new_run(run_id(1))).await.unwrap();
    drop(owned);
    assert!(SqliteStore::open(&Options::new(&path)).is_ok());
}
