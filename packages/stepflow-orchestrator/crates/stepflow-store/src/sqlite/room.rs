//! Room in the WAL's file. A commit that makes the file longer waits for the journal of the file system, too, and takes
//! several times as long as one that overwrites. So the file is made longer in large steps, ahead of the commits.

use std::fs::OpenOptions;
use std::io::{Result, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The first step is this long, the following ones double the file.
const FIRST: u64 = 256 << 10;

/// The longest step: the next commit waits until it is on the disk.
const LONGEST: u64 = 2 << 20;

/// The file is made longer when less than this is left in it.
const MARGIN: u64 = 64 << 10;

/// A file of this size stays as it is when there is nothing to do, so that the next commits overwrite it.
const KEPT: u64 = 4 << 20;

/// The WAL's file, as far as its length is known.
#[derive(Debug)]
pub(super) struct Room {
    wal: PathBuf,
    /// The file is at least this long.
    size: u64,
}

impl Room {
    pub fn new(wal: PathBuf) -> Self {
        Self { wal, size: 0 }
    }

    /// Makes the file longer if little is left after these bytes. Only inside a transaction: nobody else may write to
    /// the file. If it fails, SQLite makes the file longer itself.
    pub fn make(&mut self, used: u64) {
        if self.size < used.saturating_add(MARGIN) {
            self.size = longer(&self.wal, used).unwrap_or(0);
        }
    }

    /// Whether the file should be cut when there is time.
    pub fn is_long(&self) -> bool {
        self.size > KEPT
    }

    /// The file may have become shorter.
    pub fn forget(&mut self) {
        self.size = 0;
    }
}

/// Adds zeros behind the end of the file until there is room after these bytes. Returns its length. SQLite ignores
/// what it has not written, as it ignores the rest of an earlier WAL.
fn longer(wal: &Path, used: u64) -> Result<u64> {
    let mut file = OpenOptions::new().write(true).open(wal)?;
    let size = file.seek(SeekFrom::End(0))?;
    if size >= used.saturating_add(MARGIN) {
        return Ok(size);
    }
    let step = size.clamp(FIRST, LONGEST);
    // They are really written: a hole would be filled by the commits, each with a change to the file's map of blocks.
    file.write_all(&vec![0; usize::try_from(step).unwrap_or_default()])?;
    Ok(size + step)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::sqlite::options::beside;
    use crate::sqlite::{Durability, file};

    fn rows(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_file_grows_in_steps_and_a_crash_loses_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let _lock = file::lock(&path).unwrap();
        let connection = file::open(&path, Durability::Full).unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        let wal = beside(&path, "-wal");
        let mut room = Room::new(wal.clone());
        let length = || std::fs::metadata(&wal).unwrap().len();
        room.make(length());
        let made = length();
        assert!(made >= FIRST, "{made}");
        connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        room.make(made / 2);
        assert_eq!(length(), made, "the commit has overwritten it, and there is room left");
        room.make(made);
        assert!(length() > made && !room.is_long());
        // What a crash leaves: the files, without the end of the connection.
        let crashed = folder.path().join("crashed.db");
        std::fs::copy(&path, &crashed).unwrap();
        std::fs::copy(&wal, beside(&crashed, "-wal")).unwrap();
        let crashed = Connection::open(&crashed).unwrap();
        assert_eq!(rows(&crashed), 1);
        crashed.execute_batch("INSERT INTO t VALUES (2); PRAGMA integrity_check").unwrap();
        assert_eq!(rows(&crashed), 2);
    }

    #[test]
    fn a_file_that_is_not_there_is_left_to_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let wal = folder.path().join("state.db-wal");
        Room::new(wal.clone()).make(0);
        assert!(!wal.exists());
    }
}
