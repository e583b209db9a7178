//! The writer's connection: transactions that are complete or do not happen, and copying the WAL into the database.

use std::path::PathBuf;
use std::time::Instant;

use rusqlite::Connection;
use stepflow_engine::ports::StoreError;

use super::gauge::Gauges;
use super::work::Known;
use super::{Durability, file};

/// The size of a page.
const PAGE: u64 = 4 << 10;

/// How much the WAL grows before its pages are copied into the database. One copy serves many commits, so a page that
/// they share is written once.
const GROWTH: u64 = (16 << 20) / PAGE;

/// A WAL of this size or more is cut to zero, and not only started again.
const LONG: u64 = (64 << 20) / PAGE;

/// The connection, with what is known about its WAL.
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

    /// Does this in one transaction, or not at all. After any error of SQLite the connection is not used any more. A
    /// COMMIT that has failed must not be repeated on it, and SQLite may have rolled back by itself.
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

    /// Copies the WAL's pages into the database if it has grown enough. Only between transactions.
    pub fn checkpoint(&mut self) {
        if self.wal < self.copied {
            // All pages were copied, and the WAL has started again.
            self.copied = 0;
        }
        if self.wal >= LONG {
            self.truncate();
        } else if self.wal >= self.copied + GROWTH {
            self.copy("PRAGMA wal_checkpoint(PASSIVE)");
        }
    }

    /// Copies everything and cuts the WAL. Readers may prevent this. Then it is tried again later.
    pub fn truncate(&mut self) {
        self.copy("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Whether the WAL has pages that should be copied when there is time.
    pub fn has_wal(&self) -> bool {
        self.wal > 0
    }

    fn copy(&mut self, pragma: &str) {
        let Some(connection) = &self.connection else { return };
        // Pages that cannot be copied now stay in the WAL, which is as durable.
        let pages = wal_pages(connection, pragma);
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
