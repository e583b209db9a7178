//! Bad weather: what is refused is told, what was acknowledged is there, and what comes later is stored.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use stepflow_engine::Shards;
use stepflow_engine::event::ValueRef;
use stepflow_engine::ports::{Append, AppendRef, Commits, Created, Journal, NewRun, StoreError};
use stepflow_protocol::RunId;
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::{Error, Options, check};
use tokio::sync::mpsc;

use crate::fixtures::{Answers, Owned, append, ending, long, new_run, record, run_id, sub_run, value};
use crate::sqlite::open;

/// Where a child of this process finds its database.
const CHILD: &str = "STEPFLOW_STORE_CHILD";

/// A tree from its beginning to its end.
async fn stored(owned: &mut Owned<SqliteStore>, run: RunId, output: &str) -> Result<(), StoreError> {
    owned.store.create(new_run(run)).await?;
    owned.append(append(run, ending(run, output))).await
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

fn findings(path: &Path) -> Vec<String> {
    check(&Options::new(path)).unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_panic_of_who_is_told_ends_nothing() {
    struct Panics(Answers, Mutex<bool>);
    impl Commits for Panics {
        fn committed(&self, appends: Vec<AppendRef>) {
            assert!(!std::mem::take(&mut *self.1.lock().unwrap()), "the story says so");
            self.0.committed(appends);
        }

        fn failed(&self, appends: Vec<AppendRef>, why: StoreError) {
            self.0.failed(appends, why);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("state.db"));
    let (sender, answers) = mpsc::unbounded_channel();
    store.own(Shards::ALL, Arc::new(Panics(Answers(sender), Mutex::new(true)))).await.unwrap();
    store.create(new_run(run_id(1))).await.unwrap();
    store.append(append(run_id(1), ending(run_id(1), "1")));
    let mut owned = Owned { store, answers };
    stored(&mut owned, run_id(2), "1").await.unwrap();
    assert_eq!(owned.value(run_id(1), ValueRef::Row(4)).await, Some(value("1")), "it was stored all the same");
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    let (good, bad, taken) = (run_id(1), run_id(2), run_id(3));
    for run in [good, bad, taken] {
        owned.store.create(new_run(run)).await.unwrap();
    }
    // A sub-run of an id that there is already: only the table notices.
    let twice =
        Append { inputs: vec![(taken, vec![value("1"), value("2")])], ..append(bad, vec![sub_run(2, taken, bad)]) };
    owned.store.append(append(good, ending(good, "1")[..1].to_vec()));
    owned.store.append(twice);
    owned.store.append(Append { after: 2, ..append(bad, vec![record(3, ending(bad, "1")[3].event.clone())]) });
    owned.store.append(Append { after: 2, ..append(good, ending(good, "1")[1..].to_vec()) });
    let created = owned.store.create(NewRun { ..new_run(run_id(4)) });
    let (mut committed, mut failed) = (Vec::new(), Vec::new());
    while committed.len() + failed.len() < 4 {
        match owned.answer().await {
            Ok(written) => committed.push((written.root, written.upto)),
            Err((written, why)) => failed.push((written.root, written.upto, is_unavailable::<()>(&Err(why)))),
        }
    }
    assert_eq!((committed, failed), (vec![(good, 2), (good, 5)], vec![(bad, 2, true), (bad, 3, true)]));
    assert_eq!(created.await.unwrap(), Created::New);
    owned.append(Append { incarnation: 2, ..append(bad, ending(bad, "1")) }).await.unwrap();
    drop(owned);
    assert_eq!(findings(&path), [""; 0]);
}

#[tokio::test]
async fn a_database_that_is_deleted_under_the_server_takes_nothing_more_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    stored(&mut owned, run_id(1), "1").await.unwrap();
    let away = path.with_extension("away");
    fs::rename(&path, &away).unwrap();
    let refused = stored(&mut owned, run_id(2), "1").await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(why)) if why.detail.contains("was deleted or replaced")),
        "{refused:?}"
    );
    fs::write(&path, "another one").unwrap();
    assert!(is_unavailable(&stored(&mut owned, run_id(2), "1").await));
    fs::rename(&away, &path).unwrap();
    stored(&mut owned, run_id(3), "1").await.unwrap();
    fs::remove_file(folder.path().join("state.db-wal")).unwrap();
    let refused = stored(&mut owned, run_id(4), "1").await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(why)) if why.detail.contains("state.db-wal")),
        "{refused:?}"
    );
    drop(owned);
    assert_eq!(findings(&path), [""; 0]);
    let store = open(&path);
    for (number, is_there) in [(1, true), (2, false), (3, true), (4, false)] {
        assert_eq!(store.find(run_id(number)).await.unwrap().is_some(), is_there, "{number}");
    }
}

#[tokio::test]
async fn a_flipped_byte_in_any_page_is_found_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut owned = Owned::new(open(&path)).await;
    for number in 1..=20 {
        stored(&mut owned, run_id(number), &long(3_000)).await.unwrap();
    }
    drop(owned);
    let whole = fs::read(&path).unwrap();
    let (mut refused, mut found) = (0, 0);
    for page in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        // What kind of page it is; of the first one, behind the file's header. An overflow page has its successor there.
        let place = if page == 0 { 100 } else { page * 4096 };
        bytes[place] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        match SqliteStore::open(&Options::new(&path)) {
            Err(error) => {
                refused += 1;
                assert!(matches!(error, Error::Damaged { .. }), "page {page}: {error}");
            }
            Ok(store) => {
                for number in 1..=20 {
                    let _ = store.read(run_id(number), 0, usize::MAX).await;
                    let _ = store.values(run_id(number), vec![ValueRef::Row(4)]).await;
                }
                drop(store);
                found += 1;
                assert_ne!(findings(&path), [""; 0], "page {page}");
            }
        }
    }
    assert!(refused > 0 && found > 10, "{refused} refused, {found} found");
}

#[test]
fn a_folder_that_cannot_be_written_and_a_path_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    // Who may do everything may write there, too; nobody may make something here.
    let is_root = rustix::process::geteuid().is_root();
    let read_only = if is_root { PathBuf::from("/proc/self") } else { folder.path().to_owned() };
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [read_only.join("state.db"), file.path().join("state.db")] {
        let refused = SqliteStore::open(&Options::new(&path)).err().unwrap();
        assert!(matches!(refused, Error::CannotOpen { .. }), "{refused}");
        assert!(refused.to_string().contains("state.db"), "{refused}");
    }
}

/// Runs one of the tests below in a process of its own.
fn child(test: &str, database: &Path, limits: &str) -> Command {
    let mut child = Command::new("sh");
    let script = format!("{limits} exec \"$0\" --exact weather::{test} --nocapture");
    child.args(["-c", &script]).arg(std::env::current_exe().unwrap()).env(CHILD, database);
    child
}

#[test]
fn an_error_of_the_disk_refuses_what_is_new_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    // No file may be longer than some megabytes: writes behind that are errors, and no signals.
    let mut child = child("child_that_meets_errors", &path, "trap '' XFSZ; ulimit -S -f 4096;");
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("went on after"), "{told}");
    assert_eq!(findings(&path), [""; 0]);
}

#[tokio::test]
async fn child_that_meets_errors() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut owned = Owned::new(open(&path)).await;
    let mut number = 0;
    let refused = loop {
        number += 1;
        assert!(number < 1_000, "nothing was refused");
        let stored = stored(&mut owned, run_id(number), &long(100_000)).await;
        if stored.is_err() {
            break stored;
        }
    };
    assert!(is_unavailable(&refused), "{refused:?}");
    let acknowledged = number - 1;
    for number in 1..=acknowledged {
        assert_eq!(owned.value(run_id(number), ValueRef::Row(4)).await, Some(value(&long(100_000))), "{number}");
    }
    let hard = rustix::process::getrlimit(rustix::process::Resource::Fsize).maximum;
    let limit = rustix::process::Rlimit { current: hard, maximum: hard };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    for more in 1..=5 {
        stored(&mut owned, run_id(number + more), &long(100_000)).await.unwrap();
    }
    println!("went on after {acknowledged}");
}

#[tokio::test]
async fn after_a_kill_all_is_there_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    for round in 1..=5_u128 {
        let mut child = child("child_that_is_killed", &path, "").stdout(Stdio::piped()).spawn().unwrap();
        let mut last = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let Some(number) = line.unwrap().strip_prefix("stored ").and_then(|number| number.parse().ok()) else {
                continue;
            };
            last = number;
            if last % 10_000 == 1 {
                let refused = SqliteStore::open(&Options::new(&path)).err().unwrap();
                assert!(refused.to_string().contains(&format!("process {}", child.id())), "{refused}");
            }
            if last % 10_000 >= 20 + round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert_eq!(findings(&path), [""; 0]);
        let store = open(&path);
        let before = (1..round).flat_map(|before| before * 10_000 + 1..=before * 10_000 + 20 + before);
        for number in before.chain(round * 10_000 + 1..=last) {
            let value_of = store.values(run_id(number), vec![ValueRef::Row(4)]).await.unwrap().remove(0);
            assert_eq!(value_of, Some(value(&long(10_000))), "{number} of {last}");
        }
    }
}

#[tokio::test]
async fn child_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    // Each value is a file: between its name and its row is a place to be killed, too.
    let store = SqliteStore::open(&Options { inline_below: 8_000, ..Options::new(path) }).unwrap();
    let (sender, answers) = mpsc::unbounded_channel();
    let epoch = store.own(Shards::ALL, Arc::new(Answers(sender))).await.unwrap()[0].epoch;
    let mut owned = Owned { store, answers };
    for number in epoch * 10_000 + 1.. {
        let run = run_id(number.into());
        let mut new = new_run(run);
        new.append.epoch = epoch;
        owned.store.create(new).await.unwrap();
        owned.append(Append { epoch, ..append(run, ending(run, &long(10_000))) }).await.unwrap();
        println!("stored {number}");
    }
}
