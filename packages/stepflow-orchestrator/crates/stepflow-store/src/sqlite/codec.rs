//! How events, ids, times and states are written in rows.

use std::sync::Arc;

use jiff::Timestamp;
use stepflow_engine::event::{AttemptEnded, Event, ItemEnded, Outcome, Record, StepEnded, ValueRef};
use stepflow_protocol::{BlobId, BlobType, ExecutionStatus, RunId, StepStatus, Value};
use uuid::Uuid;

/// Values of this size or more are stored outside of the journal.
const BESIDE: usize = 2 << 10;

/// A row of the journal has at most so many bytes or records.
const PART: (usize, usize) = (64 << 10, 256);

/// Events of one append, as rows of the journal.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub parts: Vec<Part>,
    /// The long values, by the sequences of their events.
    pub beside: Vec<(u64, Value)>,
}

/// A row of the journal.
#[derive(Debug)]
pub(super) struct Part {
    /// The sequence of its last event.
    pub last: u64,
    /// How many events it has.
    pub n: usize,
    /// The events, a JSON array.
    pub body: String,
}

/// Writes events as rows.
pub(super) fn encode(records: &[Arc<Record>]) -> Result<Encoded, serde_json::Error> {
    let mut encoded = Encoded::default();
    let (mut body, mut n) = (Vec::new(), 0);
    for (index, record) in records.iter().enumerate() {
        body.push(if n == 0 { b'[' } else { b',' });
        match long_value(&record.event) {
            Some(value) => {
                serde_json::to_writer(&mut body, &without_value(record))?;
                encoded.beside.push((record.seq, value.clone()));
            }
            None => serde_json::to_writer(&mut body, &**record)?,
        }
        n += 1;
        if body.len() >= PART.0 || n == PART.1 || index + 1 == records.len() {
            body.push(b']');
            let body = String::from_utf8(std::mem::take(&mut body)).map_err(serde::ser::Error::custom)?;
            encoded.parts.push(Part { last: record.seq, n: std::mem::take(&mut n), body });
        }
    }
    Ok(encoded)
}

/// Reads a row of the journal.
pub(super) fn decode(body: &str) -> Result<Vec<Arc<Record>>, serde_json::Error> {
    Ok(serde_json::from_str::<Vec<Record>>(body)?.into_iter().map(Arc::new).collect())
}

fn long_value(event: &Event) -> Option<&Value> {
    match event.value()? {
        ValueRef::Inline(value) if value.size() >= BESIDE => Some(value),
        _ => None,
    }
}

/// The event, with a reference to itself instead of its value.
fn without_value(record: &Record) -> Record {
    let place = ValueRef::Row(record.seq);
    let event = match &record.event {
        Event::AttemptEnded(ended) => Event::AttemptEnded(AttemptEnded { payload: Some(place), ..ended.clone() }),
        Event::StepEnded(ended) => Event::StepEnded(StepEnded { result: Outcome::Success(place), ..ended.clone() }),
        Event::ItemEnded(ended) => Event::ItemEnded(ItemEnded { result: Outcome::Success(place), ..ended.clone() }),
        other => other.clone(),
    };
    Record { seq: record.seq, at: record.at, version: record.version, event }
}

/// The key of a place in a run: its number, and a sequence or an item.
pub(super) fn key(no: i64, place: u64) -> i64 {
    // No sequence is as long as that. The limit keeps a wrong one from reaching the rows of another run.
    no << 32 | i64::from(u32::try_from(place).unwrap_or(u32::MAX))
}

/// The sequence or the item of a key.
pub(super) fn place(key: i64) -> u64 {
    (key & 0xffff_ffff).unsigned_abs()
}

/// The ids of contents that a text names: 64 hex digits, no more.
pub(super) fn ids_in(text: &str) -> impl Iterator<Item = BlobId> {
    const DIGITS: usize = 64;
    let is_digit = |place: usize| text.as_bytes().get(place).is_some_and(u8::is_ascii_hexdigit);
    let mut place = 0;
    std::iter::from_fn(move || {
        while place < text.len() {
            // So many digits stand over one of every so many places: most of a text is not looked at.
            if !is_digit(place) {
                place += DIGITS;
                continue;
            }
            let first = (0..place).rev().take_while(|before| is_digit(*before)).last().unwrap_or(place);
            let end = (place..).find(|after| !is_digit(*after)).unwrap_or(text.len());
            place = end + DIGITS;
            if end - first == DIGITS {
                return text[first..end].parse().ok();
            }
        }
        None
    })
}

pub(super) fn bytes(run: RunId) -> [u8; 16] {
    run.uuid().into_bytes()
}

pub(super) fn run(bytes: [u8; 16]) -> RunId {
    RunId::from_uuid(Uuid::from_bytes(bytes))
}

pub(super) fn time(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(super) fn timestamp(time: i64) -> Timestamp {
    Timestamp::from_microsecond(time).unwrap_or(Timestamp::MAX)
}

pub(super) fn blob_type(blob_type: BlobType) -> &'static str {
    match blob_type {
        BlobType::Data => "data",
        BlobType::Flow => "flow",
        BlobType::Binary => "binary",
    }
}

pub(super) fn as_blob_type(name: &str) -> BlobType {
    match name {
        "flow" => BlobType::Flow,
        "binary" => BlobType::Binary,
        _ => BlobType::Data,
    }
}

pub(super) fn execution_status(status: ExecutionStatus) -> i64 {
    match status {
        // That a tree was given up stands in another column of its root.
        ExecutionStatus::Running | ExecutionStatus::RecoveryFailed => 0,
        ExecutionStatus::Completed => 1,
        ExecutionStatus::Failed => 2,
        ExecutionStatus::Cancelled => 3,
    }
}

pub(super) fn as_execution_status(status: i64) -> ExecutionStatus {
    match status {
        0 => ExecutionStatus::Running,
        1 => ExecutionStatus::Completed,
        2 => ExecutionStatus::Failed,
        _ => ExecutionStatus::Cancelled,
    }
}

pub(super) fn step_status(status: StepStatus) -> i64 {
    match status {
        StepStatus::Blocked => 0,
        StepStatus::Runnable => 1,
        StepStatus::Running => 2,
        StepStatus::Completed => 3,
        StepStatus::Failed => 4,
    }
}

pub(super) fn as_step_status(status: i64) -> StepStatus {
    match status {
        0 => StepStatus::Blocked,
        1 => StepStatus::Runnable,
        2 => StepStatus::Running,
        3 => StepStatus::Completed,
        _ => StepStatus::Failed,
    }
}

#[cfg(test)]
mod tests {
    use stepflow_protocol::content_id;

    use super::*;

    #[test]
    fn ids_are_found_wherever_they_stand_in_a_text() {
        let (one, other) = (content_id(b"1"), content_id(b"2"));
        for before in 0..200 {
            let text = format!("{}\"{one}\",{other}", "x".repeat(before));
            assert_eq!(ids_in(&text).collect::<Vec<_>>(), [one, other], "{before}");
            let text = format!("{}{other}0 {}", "ä".repeat(before), &one.to_string()[1..]);
            assert_eq!(ids_in(&text).collect::<Vec<_>>(), [], "{before}");
        }
    }
}
