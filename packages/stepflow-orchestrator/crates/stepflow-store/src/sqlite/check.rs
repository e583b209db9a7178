//! Whether a database is as it should be: what is in it is read, folded and compared.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, Row, params};
use stepflow_engine::StepProgress;
use stepflow_engine::event::{StepRef, ValueRef};
use stepflow_engine::machine::{Building, Machine};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{BlobId, FlowId, RunId, Value, content_id};

use super::codec::{as_step_status, bytes, decode, key, result, run, timestamp};
use super::files::Files;
use super::files::content;
use super::options::{Error, Options};
use super::queries::{RUN, run_row};
use super::work::Failure;
use super::{file, id};
use crate::rows::Rows;

/// How many findings are told at most.
const MOST: usize = 1_000;

/// Something in a database that should not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is: a run, a content, a flow, the file.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Reads the whole database and tells what is wrong in it, the first thousand of that. No server may have it.
///
/// # Errors
///
/// When another process has it, or it cannot be opened.
pub fn check(options: &Options) -> Result<Vec<Finding>, Error> {
    let options = &options.followed()?;
    let path = &options.path;
    let failed = |error: rusqlite::Error| Error::of(path, &error);
    let (_lock, connection) = file::alone(path, options.durability)?;
    let files = Files::new(options.blobs().join(id(&connection).map_err(failed)?), options.inline_below);
    let mut check = Check { connection: &connection, files: &files, findings: Vec::new() };
    match check.all() {
        Ok(()) => {}
        Err(Failure::Sql(error)) => check.find(&"the file", &error),
        Err(Failure::Refused(why)) => check.find(&"the file", &why),
    }
    Ok(check.findings)
}

struct Check<'a> {
    connection: &'a Connection,
    files: &'a Files,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn find(&mut self, place: &dyn fmt::Display, problem: &dyn fmt::Display) {
        if self.findings.len() < MOST {
            self.findings.push(Finding { place: place.to_string(), problem: problem.to_string() });
        }
    }

    fn all(&mut self) -> Result<(), Failure> {
        self.pages()?;
        self.strays()?;
        self.flows()?;
        self.blobs()?;
        self.texts("vals", "body")?;
        self.texts("run_items", "input")?;
        let roots: Vec<(i64, RunId)> =
            self.rows("SELECT no, id FROM runs WHERE root_no = no", [], |row| Ok((row.get(0)?, run(row.get(1)?))))?;
        roots.into_iter().try_for_each(|(no, root)| self.tree(no, root))
    }

    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
    }

    /// What SQLite finds.
    fn pages(&mut self) -> Result<(), Failure> {
        let found: Vec<String> = self.rows("PRAGMA integrity_check", [], |row| row.get(0))?;
        found.iter().filter(|found| *found != "ok").for_each(|found| self.find(&"the file", found));
        Ok(())
    }

    /// Rows of runs that are not there.
    fn strays(&mut self) -> Result<(), Failure> {
        const ROOTS: &str = "(SELECT no FROM runs WHERE root_no = no UNION ALL SELECT root_no FROM deleted)";
        const RUNS: &str =
            "(SELECT no FROM runs UNION ALL SELECT root_no FROM deleted UNION ALL SELECT no FROM stages)";
        let tables = [
            ("runs", "root_no", ROOTS),
            ("journal", "k >> 32", ROOTS),
            ("vals", "k >> 32", ROOTS),
            ("had", "root_no", ROOTS),
            ("run_items", "k >> 32", RUNS),
            ("item_ends", "k >> 32", RUNS),
            ("steps", "run_no", RUNS),
            ("timers", "root", "(SELECT id FROM runs WHERE root_no = no)"),
            ("runs", "flow", "(SELECT id FROM flows)"),
        ];
        for (table, column, there) in tables {
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} NOT IN {there}");
            let strays: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
            if strays > 0 {
                let what = if column == "flow" { "flow" } else { "run" };
                self.find(&format!("table `{table}`"), &format!("{strays} rows are of a {what} that is not there"));
            }
        }
        Ok(())
    }

    fn flows(&mut self) -> Result<(), Failure> {
        let flows = self.rows("SELECT id, body FROM flows", [], |row| {
            Ok((FlowId::from_bytes(row.get(0)?), row.get::<_, String>(1)?))
        })?;
        for (id, body) in flows {
            if content_id(body.as_bytes()) != id {
                self.find(&format!("flow {id}"), &"its text is another one");
            }
            let flow = load(Source::json(format!("flow {id}"), body)).flow;
            if flow.and_then(|flow| Plan::compile(flow).ok()).is_none() {
                self.find(&format!("flow {id}"), &"it cannot be run");
            }
        }
        Ok(())
    }

    fn blobs(&mut self) -> Result<(), Failure> {
        let ids = self.rows("SELECT id FROM blobs", [], |row| row.get(0).map(BlobId::from_bytes))?;
        for id in ids {
            let sql = "SELECT inline, file, size FROM blobs WHERE id = ?1";
            let row = self
                .connection
                .query_row(sql, [id.bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)));
            let (text, file, size) = row?;
            let place = format!("blob {id}");
            if let Some(text) = self.text(&place, text, file) {
                if content_id(&text) != id {
                    self.find(&place, &"its content is another one");
                }
                if i64::try_from(text.len()) != Ok(size) {
                    self.find(&place, &format!("its size is {}, not {size}", text.len()));
                }
            }
        }
        Ok(())
    }

    /// The values of a table.
    fn texts(&mut self, table: &str, column: &str) -> Result<(), Failure> {
        let mut after = i64::MIN;
        let sql = format!("SELECT k, {column}, file FROM {table} WHERE k > ?1 ORDER BY k LIMIT 64");
        loop {
            let page: Vec<(i64, Option<String>, Option<String>)> =
                self.rows(&sql, [after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let Some((last, ..)) = page.last() else { return Ok(()) };
            after = *last;
            for (k, text, file) in page {
                let place = format!("row {k} of table `{table}`");
                let Some(text) = self.text(&place, text, file) else { continue };
                if let Err(error) = Value::parse(text) {
                    self.find(&place, &format!("it is no value: {error}"));
                }
            }
        }
    }

    /// The text that two columns lead to; a file has the name of its content.
    fn text(&mut self, place: &str, text: Option<String>, file: Option<String>) -> Option<Vec<u8>> {
        let name = file.clone();
        match content(self.files, text, file) {
            Ok(text) => {
                if let Some(name) = name.filter(|name| !name.starts_with(&content_id(&text).to_string())) {
                    self.find(&place, &format!("the content of the file `{name}` is another one"));
                }
                Some(text)
            }
            Err(error) => {
                let file = name.map_or_else(String::new, |name| format!(" of the file `{name}`"));
                self.find(&place, &format!("the content{file} is not there: {error}"));
                None
            }
        }
    }

    /// Folds a tree's journal, and compares it with the tree's rows.
    fn tree(&mut self, no: i64, root: RunId) -> Result<(), Failure> {
        let place = format!("run {root}");
        let mut building = Machine::building(root);
        let mut rows = Rows::default();
        let mut after = 0;
        loop {
            let sql = "SELECT k, n, body FROM journal WHERE k > ?1 AND k <= ?2 ORDER BY k LIMIT 1";
            let parameters = [key(no, after), key(no, u64::MAX)];
            let next = self.rows(sql, parameters, |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
            })?;
            let Some((k, n, body)) = next.into_iter().next() else { break };
            let records = match decode(&body) {
                Ok(records) => records,
                Err(error) => {
                    self.find(&place, &format!("the journal cannot be read behind sequence {after}: {error}"));
                    return Ok(());
                }
            };
            let dense = records.iter().zip(after + 1..).all(|(record, seq)| record.seq == seq);
            let last = after + records.len() as u64;
            if !dense || key(no, last) != k || i64::try_from(records.len()) != Ok(n) {
                self.find(&place, &format!("the journal has a gap behind sequence {after}"));
                return Ok(());
            }
            for record in &records {
                if result(&record.event) == Some(&ValueRef::Row(record.seq)) {
                    let there = "SELECT 1 FROM vals WHERE k = ?1";
                    if !self.connection.prepare_cached(there)?.exists([key(no, record.seq)])? {
                        self.find(&place, &format!("the value of sequence {} is not there", record.seq));
                    }
                }
                // A journal that lacks something may lead to what a machine never meets.
                let folds = catch_unwind(AssertUnwindSafe(|| {
                    building.fold(record);
                    rows.apply(record);
                }));
                if folds.is_err() {
                    self.find(&place, &format!("the journal cannot be folded from sequence {} on", record.seq));
                    return Ok(());
                }
            }
            after = last;
        }
        self.compare(&place, no, building, &rows)
    }

    fn compare(&mut self, place: &str, no: i64, building: Building, rows: &Rows) -> Result<(), Failure> {
        let sql = format!("{RUN} WHERE runs.root_no = ?1");
        let stored = self.rows(&sql, [no], run_row)?;
        let mut stored: BTreeMap<RunId, _> = stored.into_iter().map(|row| (row.run, row)).collect();
        let machine = building.finish();
        for (of, row) in &rows.runs {
            let place = if *of == row.root { place.to_owned() } else { format!("{place}, sub-run {of}") };
            let Some(stored) = stored.remove(of) else {
                self.find(&place, &"it has no row");
                continue;
            };
            let (status, items) = (stored.status, stored.items);
            if (status, items) != (row.status, row.items) || stored.ended_at.is_some() != row.ended_at.is_some() {
                let problem = format!("its row says {status:?} {items:?}, its events {:?} {:?}", row.status, row.items);
                self.find(&place, &problem);
            }
            let folded = machine.state().runs.get(of).map(|run| run.status);
            // A machine forgets sub-runs that have ended.
            let is_forgotten = folded.is_none() && *of != row.root && row.status.is_terminal();
            if folded != Some(row.status) && !is_forgotten {
                self.find(&place, &format!("its events say {:?}, folded they are {folded:?}", row.status));
            }
            self.items(&place, *of, rows)?;
        }
        stored.keys().for_each(|of| self.find(&place, &format!("run {of} has a row and no event")));
        self.steps(place, no, rows)
    }

    /// The inputs and the ends of a run's items.
    fn items(&mut self, place: &str, of: RunId, rows: &Rows) -> Result<(), Failure> {
        let no: i64 = self.connection.query_row("SELECT no FROM runs WHERE id = ?1", [bytes(of)], |row| row.get(0))?;
        let range = params![key(no, 0), key(no, u64::MAX)];
        let total = rows.runs.get(&of).map_or(0, |row| row.items.total);
        let inputs: u32 =
            self.connection
                .query_row("SELECT count(*) FROM run_items WHERE k BETWEEN ?1 AND ?2", range, |row| row.get(0))?;
        if inputs != total {
            self.find(&place, &format!("it has {total} items and {inputs} inputs"));
        }
        let ended = (0..total).filter(|item| rows.has_own_end(of, *item)).count();
        let ends: i64 =
            self.connection
                .query_row("SELECT count(*) FROM item_ends WHERE k BETWEEN ?1 AND ?2", range, |row| row.get(0))?;
        if i64::try_from(ended) != Ok(ends) {
            self.find(&place, &format!("{ended} items have ended, and {ends} have a row of that"));
        }
        Ok(())
    }

    fn steps(&mut self, place: &str, no: i64, rows: &Rows) -> Result<(), Failure> {
        let sql = "SELECT runs.id, item, step, steps.status, attempts, scheduled_at, steps.ended_at
                   FROM runs JOIN steps ON run_no = no WHERE root_no = ?1";
        let stored = self.rows(sql, [no], |row| {
            let at = StepRef { run: run(row.get(0)?), item: row.get(1)?, step: row.get(2)? };
            let progress = StepProgress {
                status: as_step_status(row.get(3)?),
                attempts: row.get(4)?,
                scheduled_at: timestamp(row.get(5)?),
                ended_at: row.get::<_, Option<i64>>(6)?.map(timestamp),
                result: None,
            };
            Ok((at, progress))
        })?;
        let stored: BTreeMap<StepRef, StepProgress> = stored.into_iter().collect();
        let told = |progress: &StepProgress| (progress.status, progress.attempts, progress.ended_at.is_some());
        for at in stored.keys().chain(rows.steps.keys().filter(|at| !stored.contains_key(at))) {
            let (row, events) = (stored.get(at).map(told), rows.steps.get(at).map(told));
            if row != events {
                let StepRef { run, item, step } = at;
                let problem =
                    format!("step {step} of item {item} of run {run}: its row says {row:?}, its events {events:?}");
                self.find(&place, &problem);
            }
        }
        Ok(())
    }
}
