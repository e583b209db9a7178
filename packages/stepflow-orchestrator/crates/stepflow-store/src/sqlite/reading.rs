//! What is read, in pages: no reader holds a transaction for long, or the WAL would grow behind it.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use stepflow_engine::Shards;
use stepflow_engine::event::{Event, TaskRef, ValueRef};
use stepflow_engine::ports::{Blob, OpenRoot, Page, Standing, StoreError};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{BlobId, BlobType, FlowId, RunId, TaskId, Value};
use uuid::Uuid;

use super::codec::{bytes, decode, key, place, result, run, time, timestamp};
use super::work::{Failure, no_run, number};

/// About how many bytes an event takes beside its values.
const EVENT: usize = 256;

/// How many places may follow one another before a value is found.
const HOPS: usize = 16;

fn root_number(connection: &Connection, root: RunId) -> Result<i64, Failure> {
    let mut no = connection.prepare_cached("SELECT no FROM runs WHERE id = ?1 AND root_no = no")?;
    Ok(no.query_row([bytes(root)], |row| row.get(0)).optional()?.ok_or_else(|| no_run(root))?)
}

/// A body that cannot be read is damage, and asking again does not heal it.
fn unreadable(what: &'static str, id: impl std::fmt::Display, error: impl std::fmt::Display) -> Failure {
    StoreError::NotFound { what, id: format!("{id}: {error}") }.into()
}

/// See [`stepflow_engine::ports::Journal::read`].
pub(super) fn page(connection: &Connection, root: RunId, after: u64, most: usize) -> Result<Page, Failure> {
    let no = root_number(connection, root)?;
    let mut read = Page { marked: marked(connection, no)?, ..Page::default() };
    let sql = "SELECT k, epoch, body FROM journal WHERE k > ?1 AND k <= ?2 ORDER BY k";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key(no, after), key(no, u64::MAX)])?;
    let mut size = 0;
    while let Some(row) = rows.next()? {
        read.epoch = row.get::<_, i64>(1)?.cast_unsigned();
        let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        let records = decode(body).map_err(|error| unreadable("sense in the journal of run", root, error))?;
        for record in records.into_iter().filter(|record| record.seq > after) {
            if size >= most {
                return Ok(read);
            }
            size += EVENT + record.event.size();
            read.records.push(record);
        }
        if size >= most {
            break;
        }
    }
    Ok(read)
}

fn marked(connection: &Connection, no: i64) -> rusqlite::Result<Vec<TaskRef>> {
    let mut marked = connection.prepare_cached("SELECT task, attempt FROM had WHERE root_no = ?1")?;
    let marked = marked.query_map([no], |row| {
        Ok(TaskRef { task_id: TaskId::from_uuid(Uuid::from_bytes(row.get(0)?)), attempt: row.get(1)? })
    })?;
    marked.collect()
}

/// See [`stepflow_engine::ports::Journal::values`].
pub(super) fn values(
    connection: &Connection,
    root: RunId,
    places: Vec<ValueRef>,
) -> Result<Vec<Option<Value>>, Failure> {
    let no = number(connection, root)?;
    places.into_iter().map(|place| value(connection, root, no, place)).collect()
}

fn value(
    connection: &Connection,
    root: RunId,
    root_no: Option<i64>,
    mut place: ValueRef,
) -> Result<Option<Value>, Failure> {
    for _ in 0..HOPS {
        let text = match (place, root_no) {
            (ValueRef::Inline(value), _) => return Ok(Some(value)),
            (ValueRef::Item(run, item), _) => item_text(connection, run, item)?,
            (ValueRef::Blob(id), _) => blob_text(connection, id)?,
            (ValueRef::Row(_), None) => return Ok(None),
            (ValueRef::Row(seq), Some(no)) => {
                match text(connection, "SELECT body FROM vals WHERE k = ?1", key(no, seq))? {
                    Some(text) => Some(text),
                    None => match event(connection, root, no, seq)?.as_ref().and_then(result) {
                        Some(next) => {
                            place = next.clone();
                            continue;
                        }
                        None => None,
                    },
                }
            }
        };
        let parse = |text| Value::parse(text).map_err(|error| unreadable("sense in a value of run", root, error));
        return text.map(parse).transpose();
    }
    Ok(None)
}

fn text(connection: &Connection, sql: &str, key: impl rusqlite::ToSql) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()
}

fn item_text(connection: &Connection, of: RunId, item: u32) -> rusqlite::Result<Option<String>> {
    let Some(no) = number(connection, of)? else { return Ok(None) };
    text(connection, "SELECT input FROM run_items WHERE k = ?1", key(no, item.into()))
}

fn blob_text(connection: &Connection, id: BlobId) -> rusqlite::Result<Option<String>> {
    let id = id.to_string();
    match text(connection, "SELECT inline FROM blobs WHERE id = ?1", &id)? {
        Some(text) => Ok(Some(text)),
        None => text(connection, "SELECT body FROM flows WHERE id = ?1", &id),
    }
}

fn event(connection: &Connection, root: RunId, no: i64, seq: u64) -> Result<Option<Event>, Failure> {
    // Sequences are dense: the first row that does not end before it has it.
    let sql = "SELECT k, body FROM journal WHERE k >= ?1 AND k <= ?2 ORDER BY k LIMIT 1";
    let mut row = connection.prepare_cached(sql)?;
    let row: Option<(i64, String)> =
        row.query_row([key(no, seq), key(no, u64::MAX)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((last, body)) = row else { return Ok(None) };
    debug_assert!(place(last) >= seq);
    let records = decode(&body).map_err(|error| unreadable("sense in the journal of run", root, error))?;
    Ok(records.into_iter().find(|record| record.seq == seq).map(|record| record.event.clone()))
}

/// See [`stepflow_engine::ports::Journal::open_roots`].
pub(super) fn open_roots(
    connection: &Connection,
    shards: Shards,
    after: Option<RunId>,
    most: usize,
) -> Result<Vec<OpenRoot>, Failure> {
    let sql = "SELECT id, idle FROM runs
               WHERE root_no = no AND status = 0 AND given_up IS NULL AND id > ?1 ORDER BY id";
    let mut open = connection.prepare_cached(sql)?;
    let after = after.map_or_else(Vec::new, |after| bytes(after).to_vec());
    let mut rows = open.query([after])?;
    let mut open = Vec::new();
    while open.len() < most
        && let Some(row) = rows.next()?
    {
        let root = run(row.get(0)?);
        if shards.contains(root) {
            open.push(OpenRoot { root, idle: row.get(1)? });
        }
    }
    Ok(open)
}

/// See [`stepflow_engine::ports::Journal::due`].
pub(super) fn due(
    connection: &Connection,
    shards: Shards,
    upto: Timestamp,
    after: Option<(Timestamp, RunId)>,
    most: usize,
) -> Result<Vec<(Timestamp, RunId)>, Failure> {
    let sql = "SELECT DISTINCT due, root FROM timers WHERE due < ?1 AND (due, root) > (?2, ?3) ORDER BY due, root";
    let mut due = connection.prepare_cached(sql)?;
    let (at, root) = after.map_or((i64::MIN, Vec::new()), |(at, root)| (time(at), bytes(root).to_vec()));
    let mut rows = due.query(params![time(upto), at, root])?;
    let mut due = Vec::new();
    while due.len() < most
        && let Some(row) = rows.next()?
    {
        let (at, root) = (timestamp(row.get(0)?), run(row.get(1)?));
        if shards.contains(root) {
            due.push((at, root));
        }
    }
    Ok(due)
}

/// See [`stepflow_engine::ports::Journal::flow`].
pub(super) fn flow(connection: &Connection, id: FlowId) -> Result<Option<Arc<Plan>>, Failure> {
    let Some(text) = text(connection, "SELECT body FROM flows WHERE id = ?1", id.to_string())? else {
        return Ok(None);
    };
    let flow = load(Source::json(format!("flow {id}"), text)).flow;
    Ok(flow.and_then(|flow| Plan::compile(flow).ok()).map(Arc::new))
}

/// See [`stepflow_engine::ports::Journal::find`].
pub(super) fn find(connection: &Connection, of: RunId) -> Result<Option<Standing>, Failure> {
    let sql = "SELECT root.id, runs.status, root.given_up FROM runs JOIN runs AS root ON root.no = runs.root_no
               WHERE runs.id = ?1";
    let standing = connection.prepare_cached(sql)?.query_row([bytes(of)], |row| {
        Ok(Standing { root: run(row.get(0)?), ended: row.get::<_, i64>(1)? != 0, given_up: row.get(2)? })
    });
    Ok(standing.optional()?)
}

/// See [`stepflow_engine::ports::Blobs::get`].
pub(super) fn blob(connection: &Connection, id: BlobId) -> Result<Blob, Failure> {
    let mut blob = connection.prepare_cached("SELECT type, inline FROM blobs WHERE id = ?1")?;
    let blob: Option<(String, String)> =
        blob.query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (blob_type, text) = blob.ok_or_else(|| StoreError::NotFound { what: "blob", id: id.to_string() })?;
    let blob_type = match blob_type.as_str() {
        "flow" => BlobType::Flow,
        "binary" => BlobType::Binary,
        _ => BlobType::Data,
    };
    let data = Value::parse(text).map_err(|error| unreadable("sense in blob", id, error))?;
    Ok(Blob { data, blob_type })
}
