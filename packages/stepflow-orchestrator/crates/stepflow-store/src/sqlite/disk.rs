//! The writer's connection: transactions that are done or not, and the WAL's way into the database.

use std::path::PathBuf;
use std::time::Instant;

use rusqlite::Connection;
use stepflow_engine::ports::StoreError;

use super::gauge::Gauges;
use super::work::Known;
use super::{Durability, file};

/// The size of a page.
const PAGE: u64 = 4 << 10;

/// How much the WAL grows before its pages are copied into the database. The copies of many commits are one, so that
/// a page that they share is written once.
const GROWTH: u64 = (16 << 20) / PAGE;

/// A WAL from this size on is cut, and not only begun again.
const LONG: u64 = (64 << 20) / PAGE;

/// The connection, and what is known of its rows.
pub(super) struct Disk {
    path: PathBuf,
    durability: Durability,
    /// `None` after an error, until it can be opened again.
    connection: Option<Connection>,
    known: Known,
    /// How many pages the WAL has, and how many it had when they were last copied.
    wal: u64,
    copied: u64,
}

impl Disk {
    pub fn new(path: PathBuf, durability: Durability, connection: Connection) -> Self {
        Self { path, durability, connection: Some(connection), known: Known::default(), wal: 0, copied: 0 }
    }

    /// Does this in one transaction, or not at all. After any error of SQLite the connection is not used any more:
    /// a COMMIT that has failed must not be tried again on it, and it may have rolled back by itself.
    pub fn transaction<T>(
        &mut self,
        gauges: &Gauges,
        work: impl FnOnce(&Connection, &mut Known) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => file::open(&self.path, self.durability).map_err(|error| self.unavailable(&error))?,
        };
        self.known.bound();
        match transact(&connection, gauges, || work(&connection, &mut self.known)) {
            Ok(done) => {
                self.wal = wal_pages(&connection, "PRAGMA wal_checkpoint(NOOP)").unwrap_or(self.wal);
                gauges.wal(self.wal * PAGE);
                self.connection = Some(connection);
                Ok(done)
            }
            Err(error) => {
                if !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
                self.known = Known::default();
                Err(self.unavailable(&error))
            }
        }
    }

    fn unavailable(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::Unavailable(format!("`{}`: {error}", self.path.display()))
    }

    /// Copies the WAL's pages into the database, where it has grown enough. Between transactions.
    pub fn checkpoint(&mut self) {
        if self.wal < self.copied {
            // All of it was copied, and it has begun again.
            self.copied = 0;
        }
        if self.wal >= LONG {
            self.truncate();
        } else if self.wal >= self.copied + GROWTH {
            self.copy("PRAGMA wal_checkpoint(PASSIVE)");
        }
    }

    /// Copies all and cuts the WAL. Readers that are at work may keep it from that: then it is tried again later.
    pub fn truncate(&mut self) {
        self.copy("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Whether the WAL has something that is to be copied when there is time.
    pub fn has_wal(&self) -> bool {
        self.wal > 0
    }

    fn copy(&mut self, pragma: &str) {
        let Some(connection) = &self.connection else { return };
        // What cannot be copied now stays in the WAL, and is as durable there.
        let pages = wal_pages(connection, pragma);
        (self.wal, self.copied) = pages.map_or((self.wal, self.wal), |pages| (pages, pages));
    }

    /// The end: everything stands in the database, as far as that is possible.
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
        // Single statements would have been committed alone.
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
