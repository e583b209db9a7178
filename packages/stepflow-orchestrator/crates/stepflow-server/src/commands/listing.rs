//! What the commands have in common that list something: `components list` and `plugins list`.

use std::path::Path;

use serde::Serialize;

use crate::cli::{ComponentArgs, ListFormat};
use crate::config::{self, Config};
use crate::document;
use crate::exit::Failure;
use stepflow_flow::visible::{one_line, visible};

/// The configuration that a flow in the current folder would have.
///
/// # Errors
/// When it cannot be read, is wrong, or asks for something that is not built.
pub fn config(args: &ComponentArgs) -> Result<Config, Failure> {
    let config = config::find(args, Some(Path::new("flow.yaml")))?;
    config.refuse_what_is_not_built()?;
    Ok(config)
}

/// Prints a list in the format that was asked for.
///
/// # Errors
/// When stdout cannot be written.
pub fn print<L: Serialize>(list: &L, format: ListFormat, table: fn(&L) -> String) -> Result<(), Failure> {
    document::print(&match format {
        ListFormat::Table => visible(&table(list)).into_owned(),
        ListFormat::Json => serde_json::to_string_pretty(list)
            .map_err(|error| Failure::outside(format!("cannot print the list: {error}")))?,
    })
}

/// A row of a table.
pub struct Row {
    pub cells: Vec<String>,
    /// The lines below it.
    pub notes: Vec<String>,
}

/// A table with a head for each column. A cell is on one line, because its text is a name from a configuration or from
/// a worker.
pub fn table(head: &[&str], rows: Vec<Row>) -> String {
    let on_one_line = |cells: Vec<String>| cells.iter().map(|cell| one_line(cell).into_owned()).collect();
    let rows: Vec<(Vec<String>, Vec<String>)> =
        rows.into_iter().map(|row| (on_one_line(row.cells), row.notes)).collect();
    let width = |(column, head): (usize, &&str)| {
        let cells = rows.iter().filter_map(|(cells, _)| cells.get(column)).map(|cell| cell.chars().count());
        cells.chain([head.len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = head.iter().enumerate().map(width).collect();
    let line = |cells: &[&str]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(head)];
    for (cells, notes) in &rows {
        lines.push(line(&cells.iter().map(String::as_str).collect::<Vec<_>>()));
        lines.extend(notes.iter().cloned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_line_break_takes_one_row() {
        let row = |cells: [&str; 2], notes: &[&str]| Row {
            cells: cells.map(str::to_owned).to_vec(),
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        };
        let rows = vec![row(["a\nready", "x"], &["  why"]), row(["b", ""], &[])];
        assert_eq!(table(&["NAME", "STATE"], rows), "NAME     STATE\na␊ready  x\n  why\nb");
    }
}
