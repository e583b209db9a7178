//! What a database's file is: its header says it, which SQLite leaves to applications (`PRAGMA application_id`).
//!
//! A WAL stands beside the file, by its name alone. Whoever copies a backup over a database whose server was killed would
//! have a file with a WAL of another one, and SQLite would copy that over it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::options::{Error, beside};

/// Where the header has it.
const PLACE: u64 = 68;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A database that belongs to a server, with its WAL.
    None,
    /// A copy. It becomes a database when it is opened first, and has no WAL before.
    Backup,
    /// A database that is being put in the place of another one, whose files may still be there.
    Restoring,
}

impl Mark {
    fn bytes(self) -> [u8; 4] {
        match self {
            Self::None => [0; 4],
            Self::Backup => *b"SfBk",
            Self::Restoring => *b"SfRs",
        }
    }

    /// The mark of a file; none for one that is not there.
    pub fn of(path: &Path) -> Self {
        let mut found = [0; 4];
        match File::open(path).and_then(|file| file.read_exact_at(&mut found, PLACE)) {
            Ok(()) if found == Self::Backup.bytes() => Self::Backup,
            Ok(()) if found == Self::Restoring.bytes() => Self::Restoring,
            _ => Self::None,
        }
    }

    /// Marks a file that no connection has open. When this ends, all of the file is durable.
    pub fn set(self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.write_all_at(&self.bytes(), PLACE)?;
        file.sync_all()
    }
}

/// Whether there is a WAL with something in it.
pub(super) fn has_wal(path: &Path) -> bool {
    fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0)
}

/// Refuses a backup beside the WAL of another database, and one that is not all there. Returns the mark of others.
pub(super) fn checked(path: &Path) -> Result<Mark, Error> {
    match Mark::of(path) {
        Mark::Backup if has_wal(path) => Err(Error::StrangeWal { path: path.to_owned(), wal: beside(path, "-wal") }),
        Mark::Restoring => Err(Error::HalfRestored { path: path.to_owned() }),
        mark => Ok(mark),
    }
}

/// The same for a process that has the database: from now on it has a WAL of its own.
pub(super) fn begun(path: &Path) -> Result<(), Error> {
    match checked(path)? {
        Mark::None => Ok(()),
        _ => Mark::None.set(path).map_err(|error| Error::cannot_open(path, &error)),
    }
}
