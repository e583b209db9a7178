//! Updates expected outputs in their file. Only values that differ are replaced, so that the comments, the order and the
//! layout of the file stay as their author wrote them.

use std::fs;
use std::path::Path;

use stepflow_flow::node::Content;
use stepflow_flow::source::Format;
use stepflow_flow::visible::quoted;
use stepflow_flow::{Node, Source, Span, read_node};
use stepflow_protocol::{Kind, Value};

use super::expectation::outcomes;
use super::runner::Observed;
use super::suite::{Case, Expected};
use crate::exit::Failure;
use crate::output_file::OutputFile;

/// A case's new output.
pub struct Update {
    name: String,
    /// The case as it is written.
    case: Node,
    output: Value,
}

/// A part of the text and its replacement.
struct Edit {
    span: Span,
    text: String,
}

/// Values up to this length stay on one line.
const MAX_INLINE: usize = 60;

/// The update that makes a flow's case pass. `None` when there is no output to write, and for conformance cases.
pub fn of(case: &Case, observed: &Observed) -> Option<Update> {
    let (Expected::Partial { written, .. }, Observed::Ran(_)) = (&case.expected, observed) else { return None };
    let output = outcomes(observed, "result").into_iter().next()?;
    Some(Update { name: case.name.clone(), case: written.clone(), output: without_error_data(&output) })
}

/// The output without the `data` of its error. It has details such as traces, which differ from run to run.
fn without_error_data(output: &Value) -> Value {
    let without_data = |error: &Value| Value::object(error.members().into_iter().filter(|(key, _)| key != "data"));
    Value::object(output.members().into_iter().map(|(key, value)| match key.as_str() {
        "error" => (key, without_data(&value)),
        _ => (key, value),
    }))
}

/// Writes the updates into the file.
///
/// # Errors
/// When a comment would be lost, or the file cannot be written.
pub fn write(file: &Path, updates: Vec<Update>) -> Result<(), Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::unreadable("tests", file, &error))?;
    let mut edits = Vec::new();
    for update in &updates {
        let edited = match update.case.get("output") {
            Some(node) => edit_node(&text, node, &update.output, &mut edits),
            None => insert_output(&text, &update.case, &update.output, &mut edits),
        };
        edited.ok_or_else(|| refused(file, &update.name))?;
    }
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.start));
    let mut updated = text.clone();
    edits.iter().for_each(|edit| updated.replace_range(edit.span.start..edit.span.end, &edit.text));
    if without_outputs(file, &text) != without_outputs(file, &updated) {
        return Err(Failure::document(format!("cannot write the new outputs into `{}`", file.display()))
            .hint("this layout is not supported: change the outputs by hand"));
    }
    OutputFile::write_whole("file of tests", file, updated.as_bytes())
}

fn refused(file: &Path, case: &str) -> Failure {
    Failure::document(format!(
        "the new output of the case {} in `{}` would replace comments",
        quoted(case),
        file.display()
    ))
    .hint("move the comments out of the expected output, or change the output by hand")
}

/// Adds the smallest edits that give the node this value. `None` when a comment would be lost.
fn edit_node(text: &str, node: &Node, value: &Value, edits: &mut Vec<Edit>) -> Option<()> {
    match (&node.content, value.kind()) {
        (Content::Object(entries), Kind::Object)
            if !entries.is_empty() && entries.iter().all(|entry| value.field(&entry.key).is_some()) =>
        {
            for entry in entries {
                edit_node(text, &entry.value, &value.field(&entry.key)?, edits)?;
            }
        }
        (Content::Array(nodes), Kind::Array) if nodes.len() == value.elements().len() => {
            for (node, element) in nodes.iter().zip(value.elements()) {
                edit_node(text, node, &element, edits)?;
            }
        }
        _ if node.to_value().canonical() == value.canonical() => {}
        _ => edits.push(replacement(text, node, value)?),
    }
    Some(())
}

fn replacement(text: &str, node: &Node, value: &Value) -> Option<Edit> {
    let written = text.get(node.span.start..node.span.end)?;
    let comment = |line: &str| line.trim_start().starts_with('#') || line.contains(" #");
    if matches!(node.content, Content::Object(_) | Content::Array(_)) && written.lines().any(comment) {
        return None;
    }
    let in_block = matches!(node.content, Content::Object(_) | Content::Array(_)) && !written.starts_with(['{', '[']);
    let text = if in_block { block(value, column(text, node.span.start)) } else { value.to_string() };
    // An empty value (only `key:`) has no text that could be replaced, so a space is needed.
    let space = if written.is_empty() { " " } else { "" };
    Some(Edit { span: node.span, text: format!("{space}{text}") })
}

/// Adds an edit that inserts a member `output` after the last member of the case.
fn insert_output(text: &str, case: &Node, output: &Value, edits: &mut Vec<Edit>) -> Option<()> {
    let (first, last) = (case.entries().first()?, case.entries().last()?);
    let at = |place: usize| Span::new(place, place);
    if text.get(case.span.start..)?.starts_with('{') {
        let key = if text.get(first.key_span.start..)?.starts_with('"') { "\"output\"" } else { "output" };
        edits.push(Edit { span: at(last.value.span.end), text: format!(", {key}: {output}") });
        return Some(());
    }
    let indent = column(text, first.key_span.start);
    let end = last.value.span.end;
    let value = match block(output, indent + 2) {
        short if short.len() <= MAX_INLINE && !short.contains('\n') => format!(" {short}"),
        long => format!("\n{}{long}", " ".repeat(indent + 2)),
    };
    let line = format!("{}output:{value}", " ".repeat(indent));
    let closed = text.get(..end)?.ends_with('\n');
    let end_of_line = if closed { end } else { text.get(end..)?.find('\n').map_or(text.len(), |line| end + line) };
    edits.push(Edit { span: at(end_of_line), text: if closed { format!("{line}\n") } else { format!("\n{line}") } });
    Some(())
}

/// A value in YAML. All lines but the first one are indented.
fn block(value: &Value, indent: usize) -> String {
    let json = value.to_string();
    if json.len() <= MAX_INLINE {
        return json;
    }
    let next = |lines: Vec<String>| lines.join(&format!("\n{}", " ".repeat(indent)));
    match value.kind() {
        Kind::Object => next(value.members().iter().map(|(key, member)| member_line(key, member, indent)).collect()),
        Kind::Array => next(value.elements().iter().map(|one| format!("- {}", block(one, indent + 2))).collect()),
        Kind::Null | Kind::Bool | Kind::Number | Kind::String => json,
    }
}

fn member_line(key: &str, member: &Value, indent: usize) -> String {
    let plain = key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.chars().all(|next| next.is_ascii_alphanumeric() || next == '_')
        && !["null", "true", "false"].contains(&key.to_ascii_lowercase().as_str());
    let key = if plain { key.to_owned() } else { Value::string(key).to_string() };
    match block(member, indent + 2) {
        text if text.contains('\n') => format!("{key}:\n{}{text}", " ".repeat(indent + 2)),
        text => format!("{key}: {text}"),
    }
}

/// How many characters are before this byte on its line.
fn column(text: &str, byte: usize) -> usize {
    let before = text.get(..byte).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default().chars().count()
}

/// The document without the outputs of its cases; `None` when it cannot be read.
fn without_outputs(file: &Path, text: &str) -> Option<Value> {
    let format = Format::of_path(file);
    let tree = read_node(&Source::new("", text, format)).ok()?.to_value();
    let without = |value: &Value, key: &str, change: &dyn Fn(Value) -> Value| {
        Value::object(value.members().into_iter().map(|(name, member)| match name == key {
            true => (name, change(member)),
            false => (name, member),
        }))
    };
    let case = |case: Value| Value::object(case.members().into_iter().filter(|(key, _)| key != "output"));
    let cases = |cases: Value| Value::array(cases.elements().into_iter().map(case));
    Some(without(&tree, "test", &|test| without(&test, "cases", &cases)))
}
