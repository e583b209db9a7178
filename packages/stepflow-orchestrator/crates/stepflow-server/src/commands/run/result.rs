//! Writes the result to stdout or to a file. It is one document for a single item. For a batch it is one line for each
//! item, written as soon as the item has ended.

use std::collections::HashSet;
use std::io::{self, IsTerminal};

use serde::Serialize;
use stepflow_engine::event::{Event, Outcome};
use stepflow_protocol::{FlowResult, RunId};

use crate::cli::RunArgs;
use crate::document;
use crate::exit::Failure;
use crate::output_file::OutputFile;
use crate::store::Store;

/// Where results are written, and in which form.
pub struct Results {
    file: Option<OutputFile>,
    batch: bool,
    output_only: bool,
    /// The items of a batch that have their lines.
    lines: HashSet<u32>,
    /// Whether nobody has read something that was written.
    unread: bool,
}

/// A line of a batch's results.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemResult<'a> {
    item_index: u32,
    #[serde(flatten)]
    result: &'a FlowResult,
}

impl Results {
    /// Opens the output file, if there is one. This is done before the run, so that no run is lost because its output
    /// cannot be written.
    pub fn open(args: &RunArgs) -> Result<Self, Failure> {
        let file = args.output.as_deref().map(|path| OutputFile::open("output", path)).transpose()?;
        let (batch, output_only) = (args.input.inputs.is_some(), args.output_only);
        Ok(Self { file, batch, output_only, lines: HashSet::new(), unread: false })
    }

    /// The line for the item of this batch that ended with the event. Items of sub-runs have no line.
    pub async fn line(&mut self, store: &Store, run: RunId, event: &Event) -> Result<Option<String>, Failure> {
        let Event::ItemEnded(ended) = event else { return Ok(None) };
        if !self.batch || ended.run != run {
            return Ok(None);
        }
        let result = match &ended.result {
            Outcome::Failed(error) => FlowResult::Failed(error.clone()),
            Outcome::Success(place) => {
                let output = store.value(ended.run, place.clone()).await?;
                FlowResult::Success(output.ok_or_else(|| {
                    Failure::outside(format!("the result of item {} is not there any more", ended.item))
                })?)
            }
        };
        self.item(ended.item, &result)
    }

    /// The line for an item of this batch, if it has none: one that never began ended with its run.
    pub fn item(&mut self, item: u32, result: &FlowResult) -> Result<Option<String>, Failure> {
        if !self.batch || !self.lines.insert(item) {
            return Ok(None);
        }
        let line = to_line(&ItemResult { item_index: item, result })?;
        Ok(Some(in_layout(&line, Layout::Compact)))
    }

    /// Writes the result of the only item of a run that is not a batch, and finishes the file; `false` when nobody has read
    /// all of the results.
    pub fn finish(mut self, only: Option<&FlowResult>) -> Result<bool, Failure> {
        if let Some(result) = only.filter(|_| !self.batch) {
            let text = match result {
                FlowResult::Failed(_) if self.output_only => return Ok(true),
                FlowResult::Success(output) if self.output_only => self.for_reader(output)?,
                whole => self.for_reader(whole)?,
            };
            self.write(&text)?;
        }
        let were_read = !self.unread;
        self.finish_file().map(|()| were_read)
    }

    /// Finishes the file after an interrupted run. It has the items of a batch that have ended.
    pub fn interrupted(self) -> Result<(), Failure> {
        if self.batch { self.finish_file() } else { Ok(()) }
    }

    fn finish_file(self) -> Result<(), Failure> {
        self.file.map_or(Ok(()), OutputFile::finish)
    }

    /// On one line, or on many when a person reads it on a terminal.
    fn for_reader<T: Serialize>(&self, thing: &T) -> Result<String, Failure> {
        let on_terminal = self.file.is_none() && io::stdout().is_terminal();
        Ok(in_layout(&to_line(thing)?, if on_terminal { Layout::Spread } else { Layout::Compact }))
    }

    /// Writes a line; `false` when nobody will read it.
    pub fn write(&mut self, text: &str) -> Result<bool, Failure> {
        let is_read = match &mut self.file {
            None => document::print_to_reader(text)?,
            Some(file) => file.append(format!("{text}\n").as_bytes()).map(|()| true)?,
        };
        self.unread |= !is_read;
        Ok(is_read)
    }
}

fn to_line<T: Serialize>(thing: &T) -> Result<String, Failure> {
    serde_json::to_string(thing).map_err(|error| Failure::outside(format!("cannot print the result: {error}")))
}

/// How a JSON text is laid out.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// On one line, without white space.
    Compact,
    /// With one line for each member.
    Spread,
}

/// A valid JSON text in another layout. It works on the text itself, so that numbers stay exactly as they are.
fn in_layout(json: &str, layout: Layout) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let break_line = |out: &mut String, depth: usize| {
        if layout == Layout::Spread {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            out.push(character);
            continue;
        }
        match character {
            ' ' | '\t' | '\n' | '\r' => continue,
            '}' | ']' => {
                depth -= 1;
                if !out.ends_with(['{', '[']) {
                    break_line(&mut out, depth);
                }
            }
            // The first member of an object or array.
            _ if out.ends_with(['{', '[']) && depth > 0 => break_line(&mut out, depth),
            _ => {}
        }
        out.push(character);
        match character {
            '{' | '[' => depth += 1,
            ',' => break_line(&mut out, depth),
            ':' if layout == Layout::Spread => out.push(' '),
            '"' => in_string = true,
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"a":[1,{"b":"x,\"{y}:"},[],{}],"big":123456789012345678901234567890,"z":1.0}"#;

    #[test]
    fn a_spread_text_has_a_line_for_each_member() {
        let spread = in_layout(TEXT, Layout::Spread);
        assert!(spread.contains("\n  \"big\": 123456789012345678901234567890,\n"), "{spread}");
        assert!(spread.contains("\n    [],\n    {}\n  ],"), "{spread}");
    }

    #[test]
    fn no_layout_changes_a_value_or_a_number() {
        assert_eq!(in_layout(&in_layout(TEXT, Layout::Spread), Layout::Compact), TEXT);
    }
}
