//! Reads rows, in pages: no reader has a transaction for long, because the WAL would grow meanwhile.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use stepflow_engine::Shards;
use stepflow_engine::event::{TaskRef, ValueRef};
use stepflow_engine::ports::{Blob, OpenRoot, Page, RunState, StoreError};
use stepflow_protocol::{BlobId, RunId, TaskId, Value};
use uuid::Uuid;

use super::codec::{as_blob_type, bytes, decode, key, run, time, timestamp};
use super::files::kept;
use super::readers::Access;
use super::tree::Tree;
use super::work::{Failure, no_run, number, unreadable};

/// About how many bytes an event takes besides its values.
const EVENT: usize = 256;

fn root_number(connection: &Connection, root: RunId) -> Result<i64, Failure> {
    let mut no = connection.prepare_cached("SELECT no FROM runs WHERE id = ?1 AND root_no = no")?;
    Ok(no.query_row([bytes(root)], |row| row.get(0)).optional()?.ok_or_else(|| no_run(root))?)
}

/// See [`stepflow_engine::ports::Journal::read`].
pub(super) fn page(access: &Access<'_>, root: RunId, after: u64, most: usize) -> Result<Page, Failure> {
    let no = root_number(access.connection, root)?;
    let mut read = Page { marked: marked(access.connection, no)?, ..Page::default() };
    let sql = "SELECT k, epoch, body FROM journal WHERE k > ?1 AND k <= ?2 ORDER BY k";
    let mut statement = access.connection.prepare_cached(sql)?;
    let mut rows = statement.query([key(no, after), key(no, u64::MAX)])?;
    let mut size = 0;
    while let Some(row) = rows.next()? {
        if size >= most {
            return Ok(read);
        }
        read.epoch = row.get::<_, i64>(1)?.cast_unsigned();
        let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        let records = decode(body).map_err(|error| unreadable("the journal of run", root, error))?;
        for record in records.into_iter().filter(|record| record.seq > after) {
            if size >= most {
                return Ok(read);
            }
            size += EVENT + record.event.size();
            read.records.push(record);
        }
    }
    read.is_last = true;
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
pub(super) fn values(access: &Access<'_>, root: RunId, places: Vec<ValueRef>) -> Result<Vec<Option<Value>>, Failure> {
    let mut tree = Tree::new(access, root, number(access.connection, root)?);
    places.into_iter().map(|place| tree.value(place)).collect()
}

/// See [`stepflow_engine::ports::Journal::open_roots`].
pub(super) fn open_roots(
    access: &Access<'_>,
    shards: Shards,
    after: Option<RunId>,
    most: usize,
) -> Result<Vec<OpenRoot>, Failure> {
    let sql = "SELECT id, idle FROM runs
               WHERE status = 0 AND root_no = no AND given_up IS NULL AND id > ?1 ORDER BY id";
    let mut open = access.connection.prepare_cached(sql)?;
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
    access: &Access<'_>,
    shards: Shards,
    upto: Timestamp,
    after: Option<(Timestamp, RunId)>,
    most: usize,
) -> Result<Vec<(Timestamp, RunId)>, Failure> {
    let sql = "SELECT DISTINCT due, root FROM timers WHERE due < ?1 AND (due, root) > (?2, ?3) ORDER BY due, root";
    let mut due = access.connection.prepare_cached(sql)?;
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

/// See [`stepflow_engine::ports::Journal::find`].
pub(super) fn find(access: &Access<'_>, of: RunId) -> Result<Option<RunState>, Failure> {
    let sql = "SELECT root.id, runs.status, root.given_up FROM runs JOIN runs AS root ON root.no = runs.root_no
               WHERE runs.id = ?1";
    let standing = access.connection.prepare_cached(sql)?.query_row([bytes(of)], |row| {
        Ok(RunState { root: run(row.get(0)?), ended: row.get::<_, i64>(1)? != 0, given_up: row.get(2)? })
    });
    Ok(standing.optional()?)
}

/// See [`stepflow_engine::ports::Blobs::get`].
pub(super) fn blob(access: &Access<'_>, id: BlobId) -> Result<Blob, Failure> {
    let mut blob = access.connection.prepare_cached("SELECT type, inline, file FROM blobs WHERE id = ?1")?;
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get(2)?));
    let (blob_type, inline, file) = blob
        .query_row([id.bytes()], read)
        .optional()?
        .ok_or_else(|| StoreError::NotFound { what: "blob", id: id.to_string() })?;
    let text = kept(access.files, inline, file)?;
    let data = Value::parse(text).map_err(|error| unreadable("the content of blob", id, error))?;
    Ok(Blob { data, blob_type: as_blob_type(&blob_type) })
}
