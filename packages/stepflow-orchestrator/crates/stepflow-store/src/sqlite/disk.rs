//! The writer's connection: transactions that are complete or do not happen, and copying the WAL into the database.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use stepflow_engine::ports::StoreError;

use super::file;
use super::gauge::Gauges;
use super::lock::Lock;
use super::options::{Durability, beside};
use super::outage;
use super::work::Known;

/// The size of a page.
const PAGE: u64 = 4 << 10;

/// How much the WAL grows before its pages are copied into the database. One copy serves many commits, so a page that
/// they share is written once.
const GROWTH: u64 = (16 << 20) / PAGE;

/// A WAL of this size or more is cut to zero, and not only started again.
const LONG: u64 = (64 << 20) / PAGE;

/// A WAL up to this size stays as it is when there is nothing to do, so that the next commits overwrite it.
const KEPT: u64 = (4 << 20) / PAGE;

/// How much a long WAL grows before it is tried again to cut it.
const AGAIN: u64 = (1 << 20) / PAGE;

/// How long the end of reads is waited for when the WAL is cut.
const PATIENCE: Duration = Duration::from_millis(100);

/// How the WAL's file is called.
const WAL: &str = "-wal";

/// What stays the same of a file when its name does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self { device: file.dev(), inode: file.ino() })
    }
}

/// The connection, with what is known about its rows and its files.
pub(super) struct Disk {
    path: PathBuf,
    durability: Durability,
    /// `None` after an error, until it can be opened again.
    connection: Option<Connection>,
    lock: Arc<Lock>,
    known: Known,
    /// The files that the connection has open, the database's and the WAL's.
    database: Option<FileId>,
    wal_file: Option<FileId>,
    /// How many pages the WAL has, and how many it had when they were last copied.
    wal: u64,
    copied: u64,
}

impl Disk {
    pub fn new(path: PathBuf, durability: Durability, connection: Connection, lock: Arc<Lock>) -> Self {
        let (database, wal_file) = (FileId::of(&path), FileId::of(&beside(&path, WAL)));
        let (connection, known) = (Some(connection), Known::default());
        Self { path, durability, connection, lock, known, database, wal_file, wal: 0, copied: 0 }
    }

    /// Does this in one transaction, or not at all. After any error of SQLite the connection is not used any more. A
    /// COMMIT that has failed must not be repeated on it, and SQLite may have rolled back by itself.
    pub fn transaction<T>(
        &mut self,
        gauges: &Gauges,
        work: impl FnOnce(&Connection, &mut Known) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let done = self.attempt(gauges, work);
        gauges.outage(done.as_ref().err());
        done
    }

    /// Finds out whether it can be written again.
    pub fn probe(&mut self, gauges: &Gauges) {
        let sql = "UPDATE meta SET value = value WHERE key = 'id'";
        let _ = self.transaction(gauges, |connection, _| connection.execute(sql, []));
    }

    fn attempt<T>(
        &mut self,
        gauges: &Gauges,
        work: impl FnOnce(&Connection, &mut Known) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if self.connection.is_none() {
            // The next one may make a WAL of its own.
            self.wal_file = None;
            self.known = Known::default();
        }
        self.check_files()?;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => file::open(&self.path, self.durability).map_err(|error| outage::of_database(&self.path, &error))?,
        };
        self.known.bound();
        match transact(&connection, gauges, || work(&connection, &mut self.known)) {
            Ok(done) => {
                self.wal = wal_pages(&connection, "PRAGMA wal_checkpoint(NOOP)").unwrap_or(self.wal);
                gauges.wal(self.wal * PAGE);
                if self.wal_file.is_none() {
                    self.wal_file = FileId::of(&beside(&self.path, WAL));
                }
                self.connection = Some(connection);
                Ok(done)
            }
            Err(error) => {
                if !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
                self.known = Known::default();
                Err(outage::of_database(&self.path, &error))
            }
        }
    }

    /// What is written into files that have no name any more is lost at the end of the process, though SQLite would not
    /// complain.
    fn check_files(&mut self) -> Result<(), StoreError> {
        let is_there = |path: &Path, file: Option<FileId>| file.is_none() || FileId::of(path) == file;
        let wal = beside(&self.path, WAL);
        let missing = if !is_there(&self.path, self.database) {
            self.path.clone()
        } else if !is_there(&wal, self.wal_file) {
            // What is stored in it is copied into the database, which is still there.
            self.truncate();
            wal
        } else if !self.lock.is_held() {
            // Another process may have the database by now.
            self.lock.name().to_owned()
        } else {
            return Ok(());
        };
        Err(outage::of_missing(&missing))
    }

    /// Copies the WAL's pages into the database if it has grown enough. Only between transactions.
    pub fn checkpoint(&mut self) {
        if self.wal < self.copied {
            // All pages were copied, and the WAL has started again.
            self.copied = 0;
        }
        if self.is_long() && self.wal >= self.copied + AGAIN {
            self.truncate();
        } else if self.wal >= self.copied + GROWTH {
            self.copy("PRAGMA wal_checkpoint(PASSIVE)");
        }
    }

    /// When there is time: copies everything, and cuts the WAL if it is long. Otherwise the next commits overwrite it.
    pub fn tidy(&mut self) {
        match self.wal > KEPT {
            true => self.truncate(),
            false => self.copy("PRAGMA wal_checkpoint(PASSIVE)"),
        }
    }

    /// Whether the WAL is so long that it has to be cut.
    pub fn is_long(&self) -> bool {
        self.wal >= LONG
    }

    /// Copies everything and cuts the WAL. Readers may prevent this. Then it is tried again later.
    fn truncate(&mut self) {
        self.copy("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Whether there is something to tidy up.
    pub fn is_untidy(&self) -> bool {
        self.wal > self.copied || self.wal > KEPT
    }

    fn copy(&mut self, pragma: &str) {
        let Some(connection) = &self.connection else { return };
        // Pages that cannot be copied now stay in the WAL, which is as durable.
        // Who wants something stored must not wait for long because somebody reads.
        let _ = connection.busy_timeout(PATIENCE);
        let pages = wal_pages(connection, pragma);
        let _ = connection.busy_timeout(file::BUSY);
        (self.wal, self.copied) = pages.map_or((self.wal, self.wal), |pages| (pages, pages));
    }

    /// The end: copies everything into the database, if possible.
    pub fn close(mut self) {
        self.truncate();
    }
}

fn transact<T>(
    connection: &Connection,
    gauges: &Gauges,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = work()?;
    if connection.is_autocommit() {
        // Without a transaction, single statements would have been committed alone.
        return Err(rusqlite::Error::InvalidQuery);
    }
    let began = Instant::now();
    connection.prepare_cached("COMMIT")?.execute([])?;
    gauges.commit(began.elapsed());
    Ok(done)
}

fn wal_pages(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let pages: i64 = connection.prepare_cached(pragma)?.query_row([], |row| row.get(1))?;
    Ok(u64::try_from(pages).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_refuses_a_transaction_as_a_whole_and_then_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let connection = file::open(&path, Durability::Full);
        assert!(connection.is_err(), "only who has the lock makes the file");
        let lock = Lock::take(&path).unwrap();
        let connection = file::open(&path, Durability::Full).unwrap();
        connection.execute_batch("CREATE TABLE t (x); PRAGMA max_page_count = 20").unwrap();
        let (mut disk, gauges) = (Disk::new(path, Durability::Full, connection, lock), Gauges::default());
        let mut insert = |bytes: i64| {
            disk.transaction(&gauges, |connection, _| {
                connection.execute("INSERT INTO t VALUES ('first')", [])?;
                connection.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes])?;
                connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
            })
        };
        assert_eq!(insert(10).unwrap(), 2);
        let full = insert(1 << 20).unwrap_err().to_string();
        assert!(full.contains("full") && full.contains("state.db"), "{full}");
        assert_eq!(insert(1 << 20).unwrap(), 4, "there is room again");
    }
}
