//! Deleting trees: a small transaction takes the root away, and with it the tree is out of sight; many small ones take
//! the rest.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use stepflow_engine::ports::Deleted;
use stepflow_protocol::{BlobId, ExecutionStatus, RunId};

use super::codec::{as_execution_status, bytes, key, run, time};
use super::options::Retention;
use super::work::{Failure, Work, no_run};

/// How many rows a transaction deletes.
const ROWS: i64 = 1_000;

/// The same where rows are long.
const LONG_ROWS: i64 = 64;

/// How many roots are looked at in a transaction, and how many contents.
const LOOK: i64 = 256;

/// How long a key counts at least: a second request may come after the run was deleted.
const KEY: i64 = 24 * 60 * 60 * 1_000_000;

/// How long a content is kept at least though nothing names it: what will is on its way.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// The rows of a run, with the most that a transaction deletes.
const RUN_ROWS: &[(&str, i64)] = &[
    (
        "DELETE FROM run_items WHERE k IN (SELECT k FROM run_items WHERE k BETWEEN ?1 AND ?2 LIMIT ?3) RETURNING file",
        LONG_ROWS,
    ),
    (
        "DELETE FROM item_ends WHERE k IN (SELECT k FROM item_ends WHERE k BETWEEN ?1 AND ?2 LIMIT ?3) RETURNING NULL",
        ROWS,
    ),
    (
        "DELETE FROM steps WHERE run_no = ?1 >> 32 AND (item, step) IN
         (SELECT item, step FROM steps WHERE run_no = ?2 >> 32 LIMIT ?3) RETURNING NULL",
        ROWS,
    ),
];

/// The rows of a tree.
const TREE_ROWS: &[(&str, i64)] = &[
    ("DELETE FROM vals WHERE k IN (SELECT k FROM vals WHERE k BETWEEN ?1 AND ?2 LIMIT ?3) RETURNING file", LONG_ROWS),
    (
        "DELETE FROM journal WHERE k IN (SELECT k FROM journal WHERE k BETWEEN ?1 AND ?2 LIMIT ?3) RETURNING NULL",
        LONG_ROWS,
    ),
    (
        "DELETE FROM had WHERE root_no = ?1 >> 32 AND (task, attempt) IN
         (SELECT task, attempt FROM had WHERE root_no = ?2 >> 32 LIMIT ?3) RETURNING NULL",
        ROWS,
    ),
    (
        "DELETE FROM blob_uses WHERE root_no = ?1 >> 32 AND blob IN
         (SELECT blob FROM blob_uses WHERE root_no = ?2 >> 32 LIMIT ?3) RETURNING NULL",
        ROWS,
    ),
];

impl Work<'_> {
    /// See [`stepflow_engine::ports::Journal::delete`].
    pub fn delete(&mut self, root: RunId) -> Result<Deleted, Failure> {
        let sql = "SELECT no, status = 0 AND given_up IS NULL FROM runs WHERE id = ?1 AND root_no = no";
        let row = self.connection.prepare_cached(sql)?.query_row([bytes(root)], |row| Ok((row.get(0)?, row.get(1)?)));
        let (no, is_open): (i64, bool) = row.optional()?.ok_or_else(|| no_run(root))?;
        if is_open {
            return Ok(Deleted::Open);
        }
        self.execute("INSERT INTO deleted (root_no) VALUES (?1)", [no])?;
        self.execute("DELETE FROM runs WHERE no = ?1", [no])?;
        self.execute("DELETE FROM timers WHERE root = ?1", [bytes(root)])?;
        let sql = "UPDATE idempotency SET expires_at = max(made_at + ?2, ?3) WHERE run = ?1";
        self.execute(sql, params![bytes(root), KEY, time(Timestamp::now())])?;
        self.known.forget(root);
        Ok(Deleted::Gone)
    }

    /// Deletes those of the next roots whose time is over, after this one. Tells the last that was looked at, and how many
    /// were deleted.
    pub fn retire(&mut self, kept: &Retention, after: Option<RunId>) -> Result<(Option<RunId>, u64), Failure> {
        let now = Timestamp::now();
        let before = |age: Duration| now.checked_sub(age).map_or(i64::MIN, time);
        let (runs, failed) = (kept.runs.map(before), kept.keep_failed.or(kept.runs).map(before));
        let Some(newest) = runs.max(failed) else { return Ok((None, 0)) };
        // Ids grow with time: what was made later has not ended before.
        let sql = "SELECT id, status, ended_at FROM runs
                   WHERE parent IS NULL AND id > ?1 AND id < ?2 ORDER BY id LIMIT ?3";
        let mut roots = self.connection.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((run(row.get(0)?), as_execution_status(row.get(1)?), row.get(2)?));
        let after = after.map_or_else(Vec::new, |after| bytes(after).to_vec());
        let roots = roots.query_map(params![after, first_id(newest), LOOK], read)?;
        let roots: Vec<(RunId, ExecutionStatus, Option<i64>)> = roots.collect::<rusqlite::Result<_>>()?;
        let mut deleted = 0;
        for (root, status, ended_at) in &roots {
            let end = if *status == ExecutionStatus::Failed { failed } else { runs };
            if ended_at.zip(end).is_some_and(|(ended_at, end)| ended_at < end) {
                self.delete(*root)?;
                deleted += 1;
            }
        }
        Ok((roots.last().map(|(root, ..)| *root), deleted))
    }

    /// Deletes the next rows of a tree that is out of sight. Whether there were some.
    pub fn clear(&mut self) -> Result<bool, Failure> {
        let root = "SELECT root_no FROM deleted LIMIT 1";
        let root: Option<i64> = self.connection.prepare_cached(root)?.query_row([], |row| row.get(0)).optional()?;
        let Some(root) = root else { return Ok(false) };
        let mut sub_run = self.connection.prepare_cached("SELECT no, id FROM runs WHERE root_no = ?1 LIMIT 1")?;
        let sub_run = sub_run.query_row([root], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?)));
        let sub_run = sub_run.optional()?;
        let of_run = sub_run.map_or(root, |(no, _)| no);
        for (sql, most) in RUN_ROWS {
            if clear(self.connection, sql, of_run, *most, self.removed)? {
                return Ok(true);
            }
        }
        if let Some((no, id)) = sub_run {
            self.execute("DELETE FROM runs WHERE no = ?1", [no])?;
            self.known.forget(run(id));
            return Ok(true);
        }
        for (sql, most) in TREE_ROWS {
            if clear(self.connection, sql, root, *most, self.removed)? {
                return Ok(true);
            }
        }
        self.execute("DELETE FROM deleted WHERE root_no = ?1", [root])?;
        Ok(true)
    }

    /// Deletes those of the next flows that nothing needs, after this one. Tells the last that was looked at.
    pub fn drop_flows(&self, after: i64) -> Result<Option<i64>, Failure> {
        let mut page = self.connection.prepare_cached("SELECT no FROM flows WHERE no > ?1 ORDER BY no LIMIT ?2")?;
        let page: Vec<i64> = page.query_map([after, LOOK], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for no in &page {
            let sql = "DELETE FROM flows WHERE no = ?1 AND stored = 0
                       AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.flow = flows.id)";
            if self.execute(sql, [no])? > 0 {
                self.execute("DELETE FROM blob_uses WHERE root_no = ?1", [-no])?;
            }
        }
        Ok(page.last().copied())
    }

    /// Deletes those of the next contents that nothing names and that nobody has put for so long, after this one. Tells
    /// the last that was looked at, and how many were deleted.
    pub fn drop_blobs(&mut self, age: Duration, after: Option<BlobId>) -> Result<(Option<BlobId>, u64), Failure> {
        let age = age.max(GRACE);
        let before = Timestamp::now().checked_sub(age).map_or(i64::MIN, time);
        let after = after.map_or_else(Vec::new, |after| after.bytes().to_vec());
        let mut page = self.connection.prepare_cached("SELECT id FROM blobs WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let page = page.query_map(params![after, LOOK], |row| row.get(0).map(BlobId::from_bytes))?;
        let page: Vec<BlobId> = page.collect::<rusqlite::Result<_>>()?;
        let mut deleted = 0;
        for id in &page {
            let sql = "DELETE FROM blobs WHERE id = ?1 AND put_at < ?2
                       AND NOT EXISTS (SELECT 1 FROM blob_uses WHERE blob = ?1)
                       AND NOT EXISTS (SELECT 1 FROM blob_parts WHERE part = ?1) RETURNING file";
            let mut dropped = self.connection.prepare_cached(sql)?;
            let dropped = dropped.query_map(params![id.bytes(), before], |row| row.get::<_, Option<String>>(0))?;
            let dropped: Vec<Option<String>> = dropped.collect::<rusqlite::Result<_>>()?;
            if !dropped.is_empty() {
                self.execute("DELETE FROM blob_parts WHERE whole = ?1", [id.bytes()])?;
                deleted += 1;
            }
            self.removed.extend(dropped.into_iter().flatten());
        }
        Ok((page.last().copied(), deleted))
    }

    /// Forgets keys of deleted runs. Whether there may be more.
    pub fn forget_keys(&self) -> Result<bool, Failure> {
        let sql = "DELETE FROM idempotency WHERE key IN
                   (SELECT key FROM idempotency WHERE expires_at < ?1 LIMIT ?2)";
        Ok(self.execute(sql, params![time(Timestamp::now()), ROWS])? > 0)
    }
}

/// Deletes so many rows of this number, and whether there were some.
fn clear(connection: &Connection, sql: &str, no: i64, most: i64, files: &mut Vec<String>) -> rusqlite::Result<bool> {
    let mut rows = connection.prepare_cached(sql)?;
    let rows = rows.query_map(params![key(no, 0), key(no, u64::MAX), most], |row| row.get::<_, Option<String>>(0))?;
    let rows: Vec<Option<String>> = rows.collect::<rusqlite::Result<_>>()?;
    let are_some = !rows.is_empty();
    files.extend(rows.into_iter().flatten());
    Ok(are_some)
}

/// The first id that a run of this time can have.
fn first_id(time: i64) -> [u8; 16] {
    let milliseconds = u128::try_from(time / 1_000).unwrap_or(0);
    (milliseconds << 80).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_to_be_deleted_are_found_through_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        let rows = RUN_ROWS.iter().chain(TREE_ROWS).map(|(sql, _)| *sql);
        let others = [
            "SELECT id FROM runs WHERE parent IS NULL AND id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
            "SELECT no, id FROM runs WHERE root_no = ?1 LIMIT 1",
            "DELETE FROM timers WHERE root = ?1",
            "UPDATE idempotency SET expires_at = 1 WHERE run = ?1",
            "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE expires_at < ?1 LIMIT ?2)",
            "SELECT 1 FROM runs WHERE flow = ?1",
            "SELECT 1 FROM blob_uses WHERE blob = ?1 UNION ALL SELECT 1 FROM blob_parts WHERE part = ?1",
            "SELECT 1 FROM vals WHERE file = ?1 UNION ALL SELECT 1 FROM run_items WHERE file = ?1",
        ];
        for sql in rows.chain(others) {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let nulls = vec![None::<i64>; plan.parameter_count()];
            let steps = plan.query_map(rusqlite::params_from_iter(nulls), |row| row.get::<_, String>(3)).unwrap();
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            let scans = steps.iter().any(|step| step.starts_with("SCAN") && step != "SCAN CONSTANT ROW");
            assert!(!scans && !steps.iter().any(|step| step.contains("B-TREE")), "{sql}: {steps:?}");
        }
    }
}
