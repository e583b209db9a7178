//! A tree's events and values, found by their places. Rows of the journal are decoded once for a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension as _, ToSql};
use stepflow_engine::event::{Event, Record, ValueRef};
use stepflow_protocol::{BlobId, RunId, Value};

use super::codec::{decode, key, place};
use super::files::kept;
use super::readers::Access;
use super::work::{Failure, number, unreadable};

/// How many places may follow one another before a value is found.
const HOPS: usize = 16;

/// How many decoded rows are kept at most.
const ROWS: usize = 64;

pub(super) struct Tree<'a> {
    pub access: &'a Access<'a>,
    root: RunId,
    /// The root's number; none when there is no such tree.
    no: Option<i64>,
    /// Rows by the sequences of their last events.
    rows: BTreeMap<u64, Vec<Arc<Record>>>,
}

impl<'a> Tree<'a> {
    pub fn new(access: &'a Access<'a>, root: RunId, no: Option<i64>) -> Self {
        Self { access, root, no, rows: BTreeMap::new() }
    }

    /// The event of this sequence.
    pub fn event(&mut self, seq: u64) -> Result<Option<Event>, Failure> {
        let Some(no) = self.no else { return Ok(None) };
        let find = |records: &[Arc<Record>]| records.iter().find(|record| record.seq == seq).cloned();
        let known = self.rows.range(seq..).next().and_then(|(_, records)| find(records));
        if let Some(record) = known {
            return Ok(Some(record.event.clone()));
        }
        // Sequences are dense: the first row that does not end before it has it.
        let sql = "SELECT k, body FROM journal WHERE k >= ?1 AND k <= ?2 ORDER BY k LIMIT 1";
        let mut row = self.access.connection.prepare_cached(sql)?;
        let row: Option<(i64, String)> =
            row.query_row([key(no, seq), key(no, u64::MAX)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((last, body)) = row else { return Ok(None) };
        let records = decode(&body).map_err(|error| unreadable("the journal of run", self.root, error))?;
        let found = find(&records);
        if self.rows.len() >= ROWS {
            self.rows.clear();
        }
        self.rows.insert(place(last), records);
        Ok(found.map(|record| record.event.clone()))
    }

    /// The value that stands there.
    pub fn value(&mut self, mut place: ValueRef) -> Result<Option<Value>, Failure> {
        for _ in 0..HOPS {
            let row = match (place, self.no) {
                (ValueRef::Inline(value), _) => return Ok(Some(value)),
                (ValueRef::Item(run, item), _) => self.input(run, item)?,
                (ValueRef::Blob(id), _) => self.blob(id)?,
                (ValueRef::Row(_), None) => return Ok(None),
                (ValueRef::Row(seq), Some(no)) => {
                    let beside = self.row("SELECT body, file FROM vals WHERE k = ?1", key(no, seq))?;
                    if beside.is_none() {
                        let Some(next) = self.event(seq)?.as_ref().and_then(Event::value).cloned() else {
                            return Ok(None);
                        };
                        place = next;
                        continue;
                    }
                    beside
                }
            };
            let Some((text, file)) = row else { return Ok(None) };
            let text = kept(self.access.files, text, file)?;
            let value = Value::parse(text).map_err(|error| unreadable("a value of run", self.root, error))?;
            return Ok(Some(value));
        }
        Ok(None)
    }

    fn input(&self, run: RunId, item: u32) -> rusqlite::Result<Option<Text>> {
        let Some(no) = number(self.access.connection, run)? else { return Ok(None) };
        self.row("SELECT input, file FROM run_items WHERE k = ?1", key(no, item.into()))
    }

    fn blob(&self, id: BlobId) -> rusqlite::Result<Option<Text>> {
        match self.row("SELECT inline, file FROM blobs WHERE id = ?1", id.bytes())? {
            Some(row) => Ok(Some(row)),
            None => self.row("SELECT body, NULL FROM flows WHERE id = ?1", id.bytes()),
        }
    }

    fn row(&self, sql: &str, key: impl ToSql) -> rusqlite::Result<Option<Text>> {
        let mut row = self.access.connection.prepare_cached(sql)?;
        row.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }
}

/// The columns that say where the text of a value is: here, or in a file.
type Text = (Option<String>, Option<String>);
