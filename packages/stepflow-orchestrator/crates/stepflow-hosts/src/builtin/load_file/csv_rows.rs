//! CSV with a header row as a list of objects. Every cell is a string: only its reader knows what it means.

use std::collections::HashSet;
use std::path::Path;

use csv::{ErrorKind as CsvError, Reader, ReaderBuilder, StringRecord};
use serde::Deserialize;
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::{MIB, at, invalid};

/// The largest size of the rows as JSON, where each row repeats the names of the columns.
const MAX_ROWS: usize = 256 * MIB;

/// How many rows are read to find the delimiter when the header does not decide it.
const LOOKED_AT: usize = 100;

/// What separates the cells of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Delimiter {
    #[serde(rename = ",")]
    Comma = b',' as isize,
    #[serde(rename = ";")]
    Semicolon = b';' as isize,
    #[serde(rename = "\t")]
    Tab = b'\t' as isize,
    #[serde(rename = "|")]
    Bar = b'|' as isize,
}

impl Delimiter {
    const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Bar];

    /// The only delimiter that separates anything in the header. If there are several, the only one that gives all rows
    /// the same length.
    fn of(bytes: &[u8], path: &Path) -> Result<Self, FlowError> {
        let mut possible: Vec<_> = Self::ALL.into_iter().filter(|delimiter| delimiter.splits_header(bytes)).collect();
        if possible.len() > 1 {
            possible.retain(|delimiter| delimiter.fits(bytes));
        } else if possible.is_empty() {
            possible.push(Self::Comma);
        }
        match possible[..] {
            [delimiter] => Ok(delimiter),
            _ => Err(invalid(
                path,
                "what separates its cells cannot be told: say `delimiter`, one of `,` `;` `|` or a tab",
            )),
        }
    }

    fn reader(self, bytes: &[u8]) -> Reader<&[u8]> {
        ReaderBuilder::new().delimiter(self as u8).from_reader(bytes)
    }

    fn splits_header(self, bytes: &[u8]) -> bool {
        self.reader(bytes).headers().is_ok_and(|header| header.len() > 1)
    }

    fn fits(self, bytes: &[u8]) -> bool {
        self.reader(bytes).records().take(LOOKED_AT).all(|row| row.is_ok())
    }
}

/// The rows of a CSV text.
pub(super) fn read(bytes: &[u8], delimiter: Option<Delimiter>, path: &Path) -> Result<Value, FlowError> {
    let delimiter = delimiter.map_or_else(|| Delimiter::of(bytes, path), Ok)?;
    if let Some((at, problem)) = misquoted(bytes, delimiter as u8) {
        return Err(refused(path, line_at(bytes, at), problem));
    }
    let mut reader = delimiter.reader(bytes);
    let wrong = |error: csv::Error| misread(bytes, path, &error);
    let header = reader.headers().map_err(wrong)?.clone();
    check_header(bytes, &header, path)?;
    let names: Vec<String> = header.iter().map(|name| Value::string(name).to_string()).collect();
    let mut rows = String::from("[");
    let mut row = StringRecord::new();
    while reader.read_record(&mut row).map_err(wrong)? {
        let mut separator = if rows.len() > 1 { ",{" } else { "{" };
        for (name, cell) in names.iter().zip(&row) {
            rows.push_str(separator);
            rows.push_str(name);
            rows.push(':');
            rows.push_str(Value::string(cell).as_str());
            separator = ",";
        }
        rows.push('}');
        if rows.len() > MAX_ROWS {
            return Err(invalid(path, &format!("its rows come to more than {} MiB as JSON", MAX_ROWS / MIB)));
        }
    }
    rows.push(']');
    Value::parse(rows).map_err(|error| invalid(path, &error.to_string()))
}

/// The first quote that is not around a whole cell, and what is wrong with it. The reader would put all that follows
/// into one cell, or join two parts to one cell.
fn misquoted(bytes: &[u8], delimiter: u8) -> Option<(usize, &'static str)> {
    let ends_cell = |byte: &u8| *byte == delimiter || matches!(byte, b'\r' | b'\n');
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            let open = at;
            loop {
                at += 1 + bytes[at + 1..].iter().position(|byte| *byte == b'"').unwrap_or(bytes.len());
                match (bytes.get(at), bytes.get(at + 1)) {
                    (None, _) => return Some((open, "the quote that begins in this line is never closed")),
                    // Two quotes in a row stand for one quote.
                    (Some(_), Some(b'"')) => at += 1,
                    (Some(_), next) if next.is_none_or(ends_cell) => break,
                    (Some(_), _) => return Some((at, "text follows the quote that ends a cell")),
                }
            }
        }
        // To the beginning of the next cell.
        at += 1 + bytes[at..].iter().position(ends_cell).unwrap_or(bytes.len());
    }
    None
}

fn check_header(bytes: &[u8], header: &StringRecord, path: &Path) -> Result<(), FlowError> {
    if header.is_empty() {
        return Err(invalid(path, "it is empty: the first row of a CSV file names its columns"));
    }
    let line = line_of(bytes, header.position());
    if let Some(nameless) = header.iter().position(str::is_empty) {
        return Err(refused(path, line, &format!("column {} has no name", nameless + 1)));
    }
    let mut seen = HashSet::new();
    match header.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(refused(path, line, &format!("two columns have the name `{}`", start_of(twice)))),
        None => Ok(()),
    }
}

/// The beginning of a text, long enough to recognise it.
fn start_of(text: &str) -> String {
    text.chars().take(80).collect()
}

fn misread(bytes: &[u8], path: &Path, error: &csv::Error) -> FlowError {
    match error.kind() {
        CsvError::UnequalLengths { pos, expected_len, len } => {
            let problem = format!("the row has {len} cells, the header has {expected_len}");
            refused(path, line_of(bytes, pos.as_ref()), &problem)
        }
        CsvError::Utf8 { pos, err } => {
            refused(path, line_of(bytes, pos.as_ref()), &format!("the row is not UTF-8: {err}"))
        }
        _ => invalid(path, &error.to_string()),
    }
}

/// The line in which a row begins. The reader's own count ignores CRLF, and counts empty lines above a row as its own.
fn line_of(bytes: &[u8], row: Option<&csv::Position>) -> u64 {
    let begin = row.and_then(|row| usize::try_from(row.byte()).ok()).unwrap_or(0).min(bytes.len());
    let breaks = bytes[begin..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    line_at(bytes, begin + breaks)
}

/// The line of a byte, counted from 1.
fn line_at(bytes: &[u8], at: usize) -> u64 {
    let above = &bytes[..at];
    let is_break = |(at, byte): (usize, &u8)| *byte == b'\n' || (*byte == b'\r' && above.get(at + 1) != Some(&b'\n'));
    1 + above.iter().enumerate().filter(|&each| is_break(each)).count() as u64
}

fn refused(path: &Path, line: u64, problem: &str) -> FlowError {
    let message = format!("{}:{line}: {problem}", path.display());
    FlowError::new(ErrorKind::InvalidInput, message).with(at(path)).with([("line", Value::from(line))])
}
