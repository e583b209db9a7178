//! The result on stdout, or in the file that takes its place: of one item one document, of a batch a line for each
//! item as soon as it has ended.

use std::io::{self, IsTerminal};

use serde::Serialize;
use stepflow_engine::event::{Event, Outcome};
use stepflow_engine::ports::Journal;
use stepflow_protocol::{FlowResult, RunId};
use stepflow_store::{ItemRow, MemoryStore};

use crate::cli::RunArgs;
use crate::document;
use crate::exit::Failure;
use crate::output_file::OutputFile;

/// Where results go, and in which form.
pub struct Results {
    file: Option<OutputFile>,
    batch: bool,
    output_only: bool,
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
    /// Opens the file, if there is to be one, so that nothing runs for an output that cannot be written.
    pub fn open(args: &RunArgs) -> Result<Self, Failure> {
        let file = args.output.as_deref().map(|path| OutputFile::open("output", path)).transpose()?;
        Ok(Self { file, batch: args.input.inputs.is_some(), output_only: args.output_only })
    }

    /// The line for the item of this batch that the event ended. Items of its sub-runs are none.
    pub async fn line(&self, store: &MemoryStore, run: RunId, event: &Event) -> Result<Option<String>, Failure> {
        let Event::ItemEnded(ended) = event else { return Ok(None) };
        if !self.batch || ended.run != run {
            return Ok(None);
        }
        let result = match &ended.result {
            Outcome::Failed(error) => FlowResult::Failed(error.clone()),
            Outcome::Success(place) => FlowResult::Success(store.value(ended.run, place).await.map_err(|error| {
                Failure::outside(format!("cannot read the result of item {}: {error}", ended.item))
            })?),
        };
        let line = to_line(&ItemResult { item_index: ended.item, result: &result })?;
        Ok(Some(lay_out(&line, Layout::Compact)))
    }

    /// Prints the result of a run of one item, and puts the file in its place.
    pub fn finish(mut self, items: &[ItemRow]) -> Result<(), Failure> {
        if let (false, [ItemRow { result: Some(result), .. }]) = (self.batch, items) {
            let text = match result {
                FlowResult::Failed(_) if self.output_only => return Ok(()),
                FlowResult::Success(output) if self.output_only => self.laid_out(output)?,
                whole => self.laid_out(whole)?,
            };
            self.write(&text)?;
        }
        self.keep()
    }

    /// Keeps what has been written of a run that was interrupted: the items of a batch that have ended.
    pub fn interrupted(self) -> Result<(), Failure> {
        if self.batch { self.keep() } else { Ok(()) }
    }

    fn keep(self) -> Result<(), Failure> {
        self.file.map_or(Ok(()), OutputFile::finish)
    }

    /// Compact on one line, except for the eyes of a person.
    fn laid_out<T: Serialize>(&self, thing: &T) -> Result<String, Failure> {
        let seen = self.file.is_none() && io::stdout().is_terminal();
        Ok(lay_out(&to_line(thing)?, if seen { Layout::Spread } else { Layout::Compact }))
    }

    /// Writes a line.
    pub fn write(&mut self, text: &str) -> Result<(), Failure> {
        match &mut self.file {
            None => document::print(text),
            Some(file) => file.append(format!("{text}\n").as_bytes()),
        }
    }
}

fn to_line<T: Serialize>(thing: &T) -> Result<String, Failure> {
    serde_json::to_string(thing).map_err(|error| Failure::outside(format!("cannot print the result: {error}")))
}

/// How a JSON text is spread out.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// On one line, without white space.
    Compact,
    /// With its members on lines of their own.
    Spread,
}

/// A valid JSON text, laid out anew. Works on the text, so that numbers stay as they are.
fn lay_out(json: &str, layout: Layout) -> String {
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
        let spread = lay_out(TEXT, Layout::Spread);
        assert!(spread.contains("\n  \"big\": 123456789012345678901234567890,\n"), "{spread}");
        assert!(spread.contains("\n    [],\n    {}\n  ],"), "{spread}");
    }

    #[test]
    fn no_layout_changes_a_value_or_a_number() {
        assert_eq!(lay_out(&lay_out(TEXT, Layout::Spread), Layout::Compact), TEXT);
    }
}
