//! The lower limit for the benchmark of the durable server: the time that SQLite takes for a commit of two rows of a
//! journal, durable, one at a time. The WAL has its length already, so a commit only overwrites it.
//!
//! `commit_floor FOLDER COUNT` answers each line on its stdin with the average seconds of COUNT commits.
#![allow(clippy::print_stdout)]

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use rusqlite::{Connection, params};

type Failure = Box<dyn std::error::Error>;

/// What an event of a step takes in the journal.
const BODY: usize = 300;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder: PathBuf = arguments.next().ok_or("no folder")?.into();
    let count: u32 = arguments.next().ok_or("no count")?.parse()?;
    let connection = Connection::open(folder.join("floor.db"))?;
    for (setting, value) in [("journal_mode", "WAL"), ("synchronous", "FULL"), ("wal_autocheckpoint", "0")] {
        connection.pragma_update(None, setting, value)?;
    }
    connection.execute_batch("CREATE TABLE journal (k INTEGER PRIMARY KEY, n, epoch, at, body)")?;
    commits(&connection, 2 * count)?;
    for line in io::stdin().lines() {
        line?;
        // The next commit begins at the start of the WAL again.
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
        connection.execute_batch("DELETE FROM journal")?;
        let begun = Instant::now();
        commits(&connection, count)?;
        println!("{}", begun.elapsed().as_secs_f64() / f64::from(count));
        io::stdout().flush()?;
    }
    Ok(())
}

fn commits(connection: &Connection, count: u32) -> rusqlite::Result<()> {
    let body = "x".repeat(BODY);
    for _ in 0..count {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for _ in 0..2 {
            let insert = "INSERT INTO journal (n, epoch, at, body) VALUES (1, 1, 1, ?1)";
            connection.prepare_cached(insert)?.execute(params![body])?;
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
    }
    Ok(())
}
