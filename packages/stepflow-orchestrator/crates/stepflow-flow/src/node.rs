//! The tree of a document: JSON values that know their place in the text. Flows and configurations are both read from
//! this tree, so that every mistake has a line and a column.

use stepflow_protocol::{Kind, Value};

use crate::path::{Path, Segment};
use crate::source::Span;

/// A value and its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub content: Content,
}

/// A JSON value whose parts know their place.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its canonical JSON text: integers keep all their digits.
    Number(String),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object; members in the author's order, each key once.
    Object(Vec<Entry>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is written.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// How large a value is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// How many values, with itself.
    pub nodes: usize,
    /// The bytes of its text, plus a part for the places.
    pub weight: usize,
    /// How deep it is nested; 0 for a scalar.
    pub depth: usize,
}

/// What each value weighs in addition to its text.
const WEIGHT_OF_NODE: usize = 16;

impl Entry {
    /// From the key to the end of the value.
    #[must_use]
    pub fn span(&self) -> Span {
        self.key_span.to(self.value.span)
    }
}

impl Node {
    /// The JSON type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Null => Kind::Null,
            Content::Bool(_) => Kind::Bool,
            Content::Number(_) => Kind::Number,
            Content::String(_) => Kind::String,
            Content::Array(_) => Kind::Array,
            Content::Object(_) => Kind::Object,
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// A string's characters.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::String(text) => Some(text),
            _ => None,
        }
    }

    /// An array's elements; none for every other type.
    #[must_use]
    pub fn elements(&self) -> &[Node] {
        match &self.content {
            Content::Array(elements) => elements,
            _ => &[],
        }
    }

    /// An object's members; none for every other type.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Object(entries) => entries,
            _ => &[],
        }
    }

    /// An object's member of this name.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of an object's member of this name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value that the path leads to. The path is written as in diagnostics: the branches of an `$if` are
    /// `condition`, `then` and `else`, the entries of a `$coalesce` are its indices.
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<&Node> {
        path.segments().iter().try_fold(self, |node, segment| node.child(segment))
    }

    /// The value without its places. Numbers and order stay as they are.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut text = String::new();
        self.write(&mut text);
        match Value::parse(text) {
            Ok(value) => value,
            // The readers limit the depth, and `write` makes only JSON.
            Err(error) => unreachable!("a document's tree is always a value: {error}"),
        }
    }

    pub(crate) fn measure(&self) -> Size {
        let scalar = |text: usize| Size { nodes: 1, weight: WEIGHT_OF_NODE + text, depth: 0 };
        let around = |parts: &mut dyn Iterator<Item = (usize, &Self)>| {
            parts.fold(Size { depth: 1, ..scalar(0) }, |size, (key, node)| {
                let inner = node.measure();
                Size {
                    nodes: size.nodes + inner.nodes,
                    weight: size.weight + key + inner.weight,
                    depth: size.depth.max(inner.depth + 1),
                }
            })
        };
        match &self.content {
            Content::Null | Content::Bool(_) => scalar(0),
            Content::Number(text) | Content::String(text) => scalar(text.len()),
            Content::Array(elements) => around(&mut elements.iter().map(|element| (0, element))),
            Content::Object(entries) => around(&mut entries.iter().map(|entry| (entry.key.len(), &entry.value))),
        }
    }

    fn child(&self, segment: &Segment) -> Option<&Node> {
        match segment {
            Segment::Field(name) => match (self.get(name), name.as_str()) {
                (None, "condition") => self.get("$if"),
                (found, _) => found,
            },
            Segment::Index(index) => {
                let list = self.get("$coalesce").unwrap_or(self);
                list.elements().get(usize::try_from(*index).ok()?)
            }
        }
    }

    fn write(&self, text: &mut String) {
        match &self.content {
            Content::Null => text.push_str("null"),
            Content::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
            Content::Number(digits) => text.push_str(digits),
            Content::String(string) => push_string(text, string),
            Content::Array(elements) => {
                text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    element.write(text);
                }
                text.push(']');
            }
            Content::Object(entries) => {
                text.push('{');
                for (index, entry) in entries.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    push_string(text, &entry.key);
                    text.push(':');
                    entry.value.write(text);
                }
                text.push('}');
            }
        }
    }
}

fn push_string(text: &mut String, string: &str) {
    text.push_str(Value::string(string).as_str());
}
