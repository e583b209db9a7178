//! The writer's work inside a transaction. A request is refused before its first change, so that it does not affect
//! others in the same transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Params, params};
use stepflow_engine::event::{Event, TaskRef};
use stepflow_engine::ports::{Append, Created, NewRun, StoreError};
use stepflow_engine::{Shards, shard_of};
use stepflow_flow::Plan;
use stepflow_protocol::RunId;
use uuid::Uuid;

use super::codec::{bytes, encode, key, place, run, time};
use super::files::Files;

/// Why something was not done.
pub(super) enum Failure {
    /// It is not allowed. Nothing was changed.
    Refused(StoreError),
    /// SQLite could not do it.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(refused: StoreError) -> Self {
        Self::Refused(refused)
    }
}

/// The end of a tree's journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    /// The root's number.
    pub no: i64,
    pub last: u64,
    /// The content of the root's row.
    pub idle: bool,
}

/// For how many trees the end is kept in memory at most, and for how many runs the number.
const KNOWN: usize = 64 << 10;

/// What the writer knows of the rows without reading them. It is cleared after a transaction that failed.
#[derive(Debug, Default)]
pub(super) struct Known {
    tails: HashMap<RunId, Tail>,
    numbers: HashMap<RunId, i64>,
    /// The number of the next run.
    next: Option<i64>,
}

impl Known {
    /// A run that is no more.
    pub fn forget(&mut self, run: RunId) {
        self.tails.remove(&run);
        self.numbers.remove(&run);
    }

    /// Begins anew when it has become too much. Between transactions.
    pub fn bound(&mut self) {
        if self.tails.len() > KNOWN {
            self.tails.clear();
        }
        if self.numbers.len() > KNOWN {
            self.numbers.clear();
        }
    }
}

/// An open transaction.
pub(super) struct Work<'a> {
    pub connection: &'a Connection,
    pub known: &'a mut Known,
    /// The owners' numbers.
    pub epochs: &'a HashMap<u8, u64>,
    pub files: &'a Files,
    /// Files to be taken away when the transaction is durable.
    pub removed: &'a mut Vec<String>,
}

impl Work<'_> {
    pub fn execute(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(parameters)
    }

    /// Refuses appends of an earlier owner.
    fn check_owner(&self, root: RunId, ours: u64) -> Result<(), StoreError> {
        match self.epochs.get(&shard_of(root)) {
            Some(&theirs) if ours < theirs => Err(StoreError::Fenced { ours, theirs }),
            _ => Ok(()),
        }
    }

    fn tail(&mut self, root: RunId) -> rusqlite::Result<Option<Tail>> {
        if let Some(tail) = self.known.tails.get(&root) {
            return Ok(Some(*tail));
        }
        let sql = "SELECT no, idle FROM runs WHERE id = ?1 AND root_no = no";
        let row = self.connection.prepare_cached(sql)?.query_row([bytes(root)], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((no, idle)) = row.optional()? else { return Ok(None) };
        let sql = "SELECT max(k) FROM journal WHERE k BETWEEN ?1 AND ?2";
        let mut last = self.connection.prepare_cached(sql)?;
        let last: Option<i64> = last.query_row([key(no, 0), key(no, u64::MAX)], |row| row.get(0))?;
        let tail = Tail { no, last: last.map_or(0, place), idle };
        self.known.tails.insert(root, tail);
        Ok(Some(tail))
    }

    /// The number of a run.
    pub fn number(&mut self, of: RunId) -> rusqlite::Result<Option<i64>> {
        if let Some(no) = self.known.numbers.get(&of) {
            return Ok(Some(*no));
        }
        let no = number(self.connection, of)?;
        self.known.numbers.extend(no.map(|no| (of, no)));
        Ok(no)
    }

    /// The number of a run that is being made.
    pub fn is_number(&mut self, of: RunId, no: i64) {
        self.known.numbers.insert(of, no);
    }

    /// A number for a new run.
    pub fn draw_number(&mut self) -> rusqlite::Result<i64> {
        let no = self.next_number()?;
        self.known.next = Some(no + 1);
        Ok(no)
    }

    fn next_number(&self) -> rusqlite::Result<i64> {
        match self.known.next {
            Some(no) => Ok(no),
            None => {
                // The number of a deleted root is not free before its other rows are gone.
                let sql = "SELECT max(coalesce((SELECT max(no) FROM runs), 0),
                                      coalesce((SELECT max(no) FROM stages), 0),
                                      coalesce((SELECT max(root_no) FROM deleted), 0)) + 1";
                self.connection.query_row(sql, [], |row| row.get(0))
            }
        }
    }

    /// See [`stepflow_engine::ports::Journal::append`].
    pub fn append(&mut self, append: &Append) -> Result<(), Failure> {
        self.check_owner(append.root, append.epoch)?;
        let tail = self.tail(append.root)?.ok_or_else(|| no_run(append.root))?;
        if append.after != tail.last {
            return Err(StoreError::Conflict { after: append.after, last: tail.last }.into());
        }
        self.store(append, &[], tail)
    }

    /// See [`stepflow_engine::ports::Journal::create`].
    pub fn create(&mut self, new: &NewRun) -> Result<Created, Failure> {
        let append = &new.append;
        if let Some(key) = &new.idempotency_key {
            let mut existing = self.connection.prepare_cached("SELECT run FROM idempotency WHERE key = ?1")?;
            if let Some(existing) = existing.query_row([key], |row| row.get(0)).optional()? {
                return Ok(Created::Existing(run(existing)));
            }
        }
        self.check_owner(append.root, append.epoch)?;
        if let Some(tail) = self.tail(append.root)? {
            return Err(StoreError::Conflict { after: append.after, last: tail.last }.into());
        }
        let begins = append.records.first().and_then(|record| created(&record.event));
        if begins != Some(append.root) || append.after != 0 {
            return Err(no_run(append.root).into());
        }
        let no = match new.stage {
            Some(stage) => self.check_stage(stage)?,
            None => self.draw_number()?,
        };
        self.store(append, &[Arc::clone(&new.plan)], Tail { no, last: 0, idle: false })?;
        if let Some(stage) = new.stage {
            self.take_stage(stage)?;
        }
        if let Some(key) = &new.idempotency_key {
            let sql = "INSERT INTO idempotency (key, run, made_at) VALUES (?1, ?2, ?3)";
            self.execute(sql, params![key, bytes(append.root), now()])?;
        }
        Ok(Created::New)
    }

    fn store(&mut self, append: &Append, flows: &[Arc<Plan>], tail: Tail) -> Result<(), Failure> {
        let (root, no) = (append.root, tail.no);
        // Inputs come with their runs. Without its run an input could not be stored.
        let begun: HashSet<RunId> = append.records.iter().filter_map(|record| created(&record.event)).collect();
        if let Some((of, _)) = append.inputs.iter().find(|(of, _)| !begun.contains(of)) {
            return Err(no_run(*of).into());
        }
        let encoded = encode(&append.records).map_err(|error| {
            let detail = format!("an event of run `{root}` cannot be written: {error}");
            StoreError::unavailable("an event cannot be written", detail)
        })?;
        let beside = encoded.beside.iter().map(|(seq, value)| Ok((*seq, self.files.place(value)?)));
        let beside = beside.collect::<Result<Vec<_>, StoreError>>()?;
        let inputs = append.inputs.iter().map(|(of, inputs)| {
            let inputs = inputs.iter().map(|input| self.files.place(input));
            Ok((*of, inputs.collect::<Result<Vec<_>, StoreError>>()?))
        });
        let inputs = inputs.collect::<Result<Vec<_>, StoreError>>()?;
        let at = append.records.first().map_or(Timestamp::UNIX_EPOCH, |record| record.at);
        // Before the runs, which take their names over.
        for flow in flows.iter().chain(&append.flows) {
            self.put_flow(flow, at, false)?;
        }
        for part in encoded.parts {
            let sql = "INSERT INTO journal (k, n, epoch, at, body) VALUES (?1, ?2, ?3, ?4, ?5)";
            let epoch = append.epoch.cast_signed();
            self.execute(sql, params![key(no, part.last), part.n.cast_signed(), epoch, time(at), part.body])?;
            self.uses(no, &part.body)?;
        }
        let long = encoded.beside.iter().map(|(_, value)| value);
        for value in long.chain(append.inputs.iter().flat_map(|(_, inputs)| inputs)) {
            self.uses(no, value.as_str())?;
        }
        for (seq, value) in beside {
            let (text, file) = value.columns();
            self.execute("INSERT INTO vals (k, body, file) VALUES (?1, ?2, ?3)", params![key(no, seq), text, file])?;
        }
        self.project(no, append)?;
        for (of, inputs) in &inputs {
            let Some(of) = self.number(*of)? else { return Err(no_run(*of).into()) };
            for (item, input) in inputs.iter().enumerate() {
                let (text, file) = input.columns();
                let sql = "INSERT INTO run_items (k, input, file) VALUES (?1, ?2, ?3)";
                self.execute(sql, params![key(of, item as u64), text, file])?;
            }
        }
        for due in &append.owes {
            let sql = "INSERT OR IGNORE INTO timers (due, root, seq) VALUES (?1, ?2, ?3)";
            self.execute(sql, params![time(due.at), bytes(root), due.seq.cast_signed()])?;
        }
        for seq in &append.settles {
            self.execute("DELETE FROM timers WHERE root = ?1 AND seq = ?2", params![bytes(root), seq.cast_signed()])?;
        }
        for task in &append.unmarks {
            let sql = "DELETE FROM had WHERE root_no = ?1 AND task = ?2 AND attempt = ?3";
            self.execute(sql, params![no, task.task_id.uuid().into_bytes(), task.attempt])?;
        }
        // The row is written only if it changes. So a step usually writes only one page of the journal and its own row.
        if tail.idle != append.idle {
            self.execute("UPDATE runs SET idle = ?2 WHERE no = ?1", params![no, append.idle])?;
        }
        self.known.tails.insert(root, Tail { no, last: append.upto(), idle: append.idle });
        Ok(())
    }

    /// See [`stepflow_engine::ports::Journal::mark`].
    pub fn mark(&mut self, root: RunId, epoch: u64, tasks: &[TaskRef]) -> Result<(), Failure> {
        if self.check_owner(root, epoch).is_err() {
            return Ok(());
        }
        let Some(tail) = self.tail(root)? else { return Ok(()) };
        for task in tasks {
            let sql = "INSERT OR IGNORE INTO had (root_no, task, attempt) VALUES (?1, ?2, ?3)";
            self.execute(sql, params![tail.no, task.task_id.uuid().into_bytes(), task.attempt])?;
        }
        Ok(())
    }

    /// See [`stepflow_engine::ports::Journal::unmark`].
    pub fn unmark(&mut self, root: RunId, epoch: u64, tasks: &[TaskRef]) -> Result<(), Failure> {
        if self.check_owner(root, epoch).is_err() {
            return Ok(());
        }
        let Some(tail) = self.tail(root)? else { return Ok(()) };
        for task in tasks {
            let sql = "DELETE FROM had WHERE root_no = ?1 AND task = ?2 AND attempt = ?3";
            self.execute(sql, params![tail.no, task.task_id.uuid().into_bytes(), task.attempt])?;
        }
        Ok(())
    }

    /// See [`stepflow_engine::ports::Journal::give_up`].
    pub fn give_up(&mut self, root: RunId, epoch: u64, why: &str) -> Result<(), Failure> {
        self.check_owner(root, epoch)?;
        self.execute("UPDATE runs SET given_up = ?2 WHERE id = ?1", params![bytes(root), why])?;
        self.execute("DELETE FROM timers WHERE root = ?1", params![bytes(root)])?;
        Ok(())
    }
}

pub(super) fn now() -> i64 {
    time(Timestamp::now())
}

/// Takes the marks of these shards away.
pub(super) fn forget_marks(connection: &Connection, shards: Shards) -> rusqlite::Result<()> {
    let mut marked = connection.prepare_cached("SELECT no, id FROM runs WHERE no IN (SELECT root_no FROM had)")?;
    let marked = marked.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?)))?;
    let marked: Vec<(i64, [u8; 16])> = marked.collect::<rusqlite::Result<_>>()?;
    let mut forget = connection.prepare_cached("DELETE FROM had WHERE root_no = ?1")?;
    let of_shards = |id: &[u8; 16]| shards.contains(RunId::from_uuid(Uuid::from_bytes(*id)));
    marked.iter().filter(|(_, id)| of_shards(id)).try_for_each(|(no, _)| forget.execute([no]).map(drop))
}

/// The run that begins with this event.
fn created(event: &Event) -> Option<RunId> {
    match event {
        Event::RunCreated(created) => Some(created.run),
        _ => None,
    }
}

/// The number of a run.
pub(super) fn number(connection: &Connection, of: RunId) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT no FROM runs WHERE id = ?1")?.query_row([bytes(of)], |row| row.get(0)).optional()
}

pub(super) fn no_run(root: RunId) -> StoreError {
    StoreError::NotFound { what: "run", id: root.to_string() }
}

/// A body that cannot be read is damage, and asking again does not heal it.
pub(super) fn unreadable(what: &str, id: impl std::fmt::Display, error: impl std::fmt::Display) -> Failure {
    StoreError::Damaged(format!("{what} `{id}` cannot be read, {error}")).into()
}
