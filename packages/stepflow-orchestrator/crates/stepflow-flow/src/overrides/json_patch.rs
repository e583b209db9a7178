//! JSON patches (RFC 6902) of steps. Pointers begin at the step.

use crate::decoder::{Decoder, Fields};
use crate::diagnostics::{Code, Diagnostic};
use crate::json_pointer;
use crate::node::{Content, Entry, Node};
use crate::path::Path;
use crate::source::Span;

use super::beyond_limits;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    name: &'static str,
    span: Span,
    change: Change,
}

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Add(Pointer, Node),
    Remove(Pointer),
    Replace(Pointer, Node),
    Move { from: Pointer, to: Pointer },
    Copy { from: Pointer, to: Pointer },
    Test(Pointer, Node),
}

/// A JSON pointer (RFC 6901): the keys and indices to a place.
#[derive(Debug, Clone, PartialEq)]
struct Pointer(Vec<String>);

const OPERATIONS: [(&str, &str); 6] = [
    ("add", "add"),
    ("remove", "remove"),
    ("replace", "replace"),
    ("move", "move"),
    ("copy", "copy"),
    ("test", "test"),
];

/// The most operations on one step. Each may go through the whole step, and each copy may double it.
const MAX_OPERATIONS: usize = 1_000;

/// Reads the operations of a patch.
pub(super) fn operations(decoder: &mut Decoder, node: &Node) -> Option<Vec<Operation>> {
    if node.elements().len() > MAX_OPERATIONS {
        let message = format!("a JSON patch has at most {MAX_OPERATIONS} operations");
        decoder.report(Code::LimitExceeded, node.span, message);
        return None;
    }
    decoder.each(node, operation)
}

/// Reads one operation, such as `{op: replace, path: /timeout, value: 30s}`.
fn operation(decoder: &mut Decoder, node: &Node) -> Option<Operation> {
    let mut fields = decoder.fields(node)?;
    let name = fields.required(decoder, "op", |decoder, node| decoder.word(node, &OPERATIONS));
    let path = fields.required(decoder, "path", pointer);
    let change = name.zip(path).and_then(|(name, path)| match name {
        "add" => Some(Change::Add(path, value(decoder, &mut fields)?)),
        "remove" => Some(Change::Remove(path)),
        "replace" => Some(Change::Replace(path, value(decoder, &mut fields)?)),
        "move" => Some(Change::Move { from: fields.required(decoder, "from", pointer)?, to: path }),
        "copy" => Some(Change::Copy { from: fields.required(decoder, "from", pointer)?, to: path }),
        _ => Some(Change::Test(path, value(decoder, &mut fields)?)),
    });
    // The standard allows members that an operation does not use.
    fields.ignore("from");
    fields.ignore("value");
    fields.close(decoder);
    Some(Operation { name: name?, span: node.span, change: change? })
}

/// The operation's value; `null` is a value.
fn value(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Node> {
    let value = fields.get_or_null("value").cloned();
    if value.is_none() {
        fields.report_missing(decoder, "value");
    }
    value
}

fn pointer(decoder: &mut Decoder, node: &Node) -> Option<Pointer> {
    let text = decoder.string(node)?;
    if !text.is_empty() && !text.starts_with('/') {
        decoder
            .report(Code::InvalidExpression, node.span, format!("`{text}` is not a JSON pointer"))
            .help("a pointer begins at the step and looks like `/input/rows/0`");
        return None;
    }
    Some(Pointer(json_pointer::names(&text).collect()))
}

/// Applies the operations one after the other. `at` is where they stand in the overrides.
///
/// # Errors
///
/// The first operation that cannot be applied; the target must not be used then.
pub(super) fn apply(target: &mut Node, operations: &[Operation], at: &Path) -> Result<(), Box<Diagnostic>> {
    for (index, operation) in operations.iter().enumerate() {
        operation.apply(target).and_then(|()| check_limits(target)).map_err(|(code, problem)| {
            let message = format!("the operation `{}` cannot be applied: {problem}", operation.name);
            Box::new(Diagnostic::new(code, &at.clone().index(index), message).at(Some(operation.span)))
        })?;
    }
    Ok(())
}

fn check_limits(step: &Node) -> Result<(), Problem> {
    match beyond_limits(step) {
        Some(limit) => Err((Code::LimitExceeded, format!("it makes the step {limit}"))),
        None => Ok(()),
    }
}

type Problem = (Code, String);

impl Operation {
    fn apply(&self, target: &mut Node) -> Result<(), Problem> {
        match &self.change {
            Change::Add(to, value) => to.add(target, value.clone()),
            Change::Remove(from) => from.remove(target).map(drop),
            Change::Replace(to, value) => {
                *to.find_mut(target)? = value.clone();
                Ok(())
            }
            Change::Move { from, to } if from == to => from.find_mut(target).map(drop),
            Change::Move { from, to } if to.0.starts_with(&from.0) => {
                Err((Code::InvalidExpression, format!("`{to}` lies inside `{from}`")))
            }
            Change::Move { from, to } => {
                let value = from.remove(target)?;
                to.add(target, value)
            }
            Change::Copy { from, to } => {
                let value = from.find_mut(target)?.clone();
                to.add(target, value)
            }
            Change::Test(at, value) if equal(at.find_mut(target)?, value) => Ok(()),
            Change::Test(at, _) => Err((Code::InvalidType, format!("`{at}` has another value"))),
        }
    }
}

impl Pointer {
    fn find_mut<'n>(&self, target: &'n mut Node) -> Result<&'n mut Node, Problem> {
        self.0
            .iter()
            .try_fold(target, |node, part| match &mut node.content {
                Content::Object(entries) => {
                    entries.iter_mut().find(|entry| entry.key == *part).map(|entry| &mut entry.value)
                }
                Content::Array(elements) => index(part).and_then(|index| elements.get_mut(index)),
                _ => None,
            })
            .ok_or_else(|| self.nothing())
    }

    fn add(&self, target: &mut Node, value: Node) -> Result<(), Problem> {
        let Some((last, around)) = self.0.split_last() else {
            *target = value;
            return Ok(());
        };
        let around = Self(around.to_vec());
        match &mut around.find_mut(target)?.content {
            Content::Object(entries) => match entries.iter_mut().find(|entry| entry.key == *last) {
                Some(entry) => entry.value = value,
                None => entries.push(Entry { key: last.clone(), key_span: value.span, value }),
            },
            Content::Array(elements) if last == "-" => elements.push(value),
            Content::Array(elements) => match index(last).filter(|index| *index <= elements.len()) {
                Some(index) => elements.insert(index, value),
                None => return Err((Code::MissingKey, format!("`{around}` has no place `{last}`"))),
            },
            _ => return Err((Code::InvalidType, format!("`{around}` is neither an object nor an array"))),
        }
        Ok(())
    }

    fn remove(&self, target: &mut Node) -> Result<Node, Problem> {
        let Some((last, around)) = self.0.split_last() else {
            return Err((Code::InvalidExpression, "a step cannot be removed".to_owned()));
        };
        let removed = match &mut Self(around.to_vec()).find_mut(target)?.content {
            Content::Object(entries) => {
                entries.iter().position(|entry| entry.key == *last).map(|place| entries.remove(place).value)
            }
            Content::Array(elements) => {
                index(last).filter(|index| *index < elements.len()).map(|index| elements.remove(index))
            }
            _ => None,
        };
        removed.ok_or_else(|| self.nothing())
    }

    fn nothing(&self) -> Problem {
        (Code::MissingKey, format!("the step has nothing at `{self}`"))
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|part| f.write_str(&json_pointer::segment(part)))
    }
}

/// An index as the standard requires it: digits without a leading zero.
fn index(part: &str) -> Option<usize> {
    let plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    part.parse().ok().filter(|_| plain)
}

/// Whether two values are equal: members in any order, numbers by value.
fn equal(a: &Node, b: &Node) -> bool {
    match (&a.content, &b.content) {
        (Content::Number(a), Content::Number(b)) => a == b || equal_numbers(a, b),
        (Content::Array(a), Content::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Content::Object(entries), Content::Object(others)) => {
            entries.len() == others.len()
                && entries.iter().all(|entry| b.get(&entry.key).is_some_and(|other| equal(&entry.value, other)))
        }
        (a, b) => a == b,
    }
}

/// Integers are compared by their digits, because two large ones may be equal as floats.
fn equal_numbers(a: &str, b: &str) -> bool {
    let is_integer = |text: &str| text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    !(is_integer(a) && is_integer(b)) && a.parse::<f64>().ok() == b.parse::<f64>().ok()
}
