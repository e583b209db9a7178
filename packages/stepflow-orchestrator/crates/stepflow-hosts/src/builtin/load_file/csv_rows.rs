//! CSV with a header row as a list of objects. Every cell is a string: what a cell means, its reader knows.

use std::collections::HashSet;
use std::path::Path;

use csv::{ErrorKind as CsvError, ReaderBuilder, StringRecord};
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::{at, invalid};

/// The rows of a CSV text.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Value, FlowError> {
    let mut reader = ReaderBuilder::new().from_reader(bytes);
    let header = reader.headers().map_err(|error| misread(path, &error))?.clone();
    check_header(&header, path)?;
    let names: Vec<String> = header.iter().map(|name| Value::string(name).to_string()).collect();
    let mut rows = String::from("[");
    let mut row = StringRecord::new();
    while reader.read_record(&mut row).map_err(|error| misread(path, &error))? {
        let mut separator = if rows.len() > 1 { ",{" } else { "{" };
        for (name, cell) in names.iter().zip(&row) {
            rows.push_str(separator);
            rows.push_str(name);
            rows.push(':');
            rows.push_str(Value::string(cell).as_str());
            separator = ",";
        }
        rows.push('}');
    }
    rows.push(']');
    Value::parse(rows).map_err(|error| invalid(path, &error.to_string()))
}

fn check_header(header: &StringRecord, path: &Path) -> Result<(), FlowError> {
    if header.is_empty() {
        return Err(invalid(path, "it is empty: the first row of a CSV file names its columns"));
    }
    let mut seen = HashSet::new();
    match header.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(refused(path, 1, &format!("two columns have the name `{twice}`"))),
        None => Ok(()),
    }
}

fn misread(path: &Path, error: &csv::Error) -> FlowError {
    let line = |position: &Option<csv::Position>| position.as_ref().map_or(1, csv::Position::line);
    match error.kind() {
        CsvError::UnequalLengths { pos, expected_len, len } => {
            refused(path, line(pos), &format!("the row has {len} cells, the header has {expected_len}"))
        }
        CsvError::Utf8 { pos, err } => refused(path, line(pos), &format!("the row is not UTF-8: {err}")),
        _ => invalid(path, &error.to_string()),
    }
}

fn refused(path: &Path, line: u64, problem: &str) -> FlowError {
    let message = format!("{}:{line}: {problem}", path.display());
    FlowError::new(ErrorKind::InvalidInput, message).with(at(path)).with([("line", Value::from(line))])
}
