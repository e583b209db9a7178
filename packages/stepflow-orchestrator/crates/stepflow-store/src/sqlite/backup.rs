//! A copy of a database and of its files, also while a server has it.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::file;
use super::file_mark::{self, Mark};
use super::files::{self, Files};
use super::lock::{self, Lock};
use super::options::{Error, Options, beside};

/// How many pages are copied at once.
const PAGES: i32 = 256;

/// Copies the database into a new file, as it is at one moment, and its long values into the folder beside that file.
/// A server may have the database meanwhile, and goes on.
///
/// # Errors
///
/// When there is such a file already, or the database cannot be read, or the copy cannot be written.
pub fn backup(options: &Options, to: &Path) -> Result<(), Error> {
    let options = &lock::followed(options)?;
    let from = &options.path;
    let failed = |reason: &dyn std::fmt::Display| Error::failed("copy", from, reason);
    if to.exists() {
        return Err(failed(&format!("`{}` exists already", to.display())));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(failed(&format!("there is no folder `{}`", folder.display())));
    }
    file_mark::checked(from)?;
    file::is_there(from)?;
    let (source, _lock) = source(from)?;
    if file::known_version(&source, from)? == 0 {
        return Err(failed(&"it is empty"));
    }
    let name = file::id(&source, from)?;
    let files = Files::new(options.blobs().join(&name), 0);
    let blobs = Options::new(to).blobs();
    let is_new = !blobs.exists();
    let copies = Files::new(blobs.join(&name), 0);
    let part = beside(to, ".part");
    let ended = copy_moment(&source, &files, &copies, &part).and_then(|()| {
        Mark::Backup.set(&part)?;
        fs::rename(&part, to)?;
        Ok(files::sync(folder)?)
    });
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(&part, suffix));
    }
    if ended.is_err() && is_new {
        let _ = fs::remove_dir_all(&blobs);
    }
    ended.map_err(|error| failed(&error))
}

/// A connection that reads, also where there is no room for the index of a WAL: then nobody else may have the database.
fn source(from: &Path) -> Result<(Connection, Option<Arc<Lock>>), Error> {
    let opened = file::open_read_only(from).and_then(|connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    match opened {
        Ok(connection) => Ok((connection, None)),
        Err(error) if matches!(error.sqlite_error_code(), Some(SystemIoFailure | CannotOpen | DiskFull)) => {
            let lock = Lock::take(from)?;
            let connection = file::open_at_rest(from).map_err(|_| Error::of(from, &error))?;
            Ok((connection, Some(lock)))
        }
        Err(error) => Err(Error::of(from, &error)),
    }
}

/// Copies the rows of one moment, and the files that they name.
pub(super) fn copy_moment(
    source: &Connection,
    files: &Files,
    copies: &Files,
    to: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    // Most files are copied before, so that those of the moment that is copied are there without delay.
    let mut missing = copy_files(source, files, copies)?;
    loop {
        source.execute_batch("BEGIN")?;
        source.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
        let still = copy_files(source, files, copies)?;
        if still.is_empty() {
            return copy(source, to);
        }
        // A server takes a file away after the row that named it: the rows of a later moment do not name it.
        if let Some(name) = still.intersection(&missing).next() {
            let path = files.path(name);
            let help = "`--blobs` names the folder of large values";
            return Err(format!("a large value is missing, the file `{}` ({help})", path.display()).into());
        }
        missing = still;
        source.execute_batch("COMMIT")?;
    }
}

fn copy(source: &Connection, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let mut copy =
        Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // All pages are of the moment at which the source was read first, or the copy would begin anew with each commit.
    let backup = Backup::new(source, &mut copy)?;
    loop {
        match backup.step(PAGES)? {
            StepResult::Done => break,
            StepResult::Busy | StepResult::Locked => std::thread::sleep(file::BUSY / 100),
            _ => {}
        }
    }
    drop(backup);
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Copies the files that rows name and that are not copied yet. Returns those that are not there.
fn copy_files(rows: &Connection, from: &Files, to: &Files) -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let sql = "SELECT file FROM vals WHERE file IS NOT NULL UNION ALL SELECT file FROM run_items WHERE file IS NOT NULL
               UNION ALL SELECT file FROM blobs WHERE file IS NOT NULL";
    let mut names = rows.prepare(sql)?;
    let mut names = names.query([])?;
    let mut missing = BTreeSet::new();
    while let Some(row) = names.next()? {
        let name: String = row.get(0)?;
        match from.copy(&name, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.insert(name);
            }
            copied => copied?,
        }
    }
    Ok(missing)
}
