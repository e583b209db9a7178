//! How to repair a mistake, from the places of the document's parts. The layout of the text is looked at later.

mod layout;

use layout::{Layout, edit};
use serde::Serialize;

use crate::node::{Entry, Node};
use crate::source::Span;

/// Changes to a text that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Fix {
    /// The changes, in the order of the text; none overlaps another.
    pub edits: Vec<Edit>,
    /// What they do, for people.
    pub summary: String,
}

/// A part of a text, and its replacement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edit {
    /// The part, in bytes; an empty one is a place between two bytes.
    pub span: Span,
    /// The new text.
    pub replacement: String,
}

/// A way to repair a mistake at the place of its diagnostic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Repair {
    /// The key or the word is replaced by this one.
    Rename(String),
    /// The member is put into new objects under these keys, from the outside in.
    Nest { value: Span, keys: Vec<&'static str> },
    /// These members, which follow each other, become the members of a new object under this key.
    Gather { first: Span, last: Span, key: &'static str },
    /// The member is moved after the last one of another object, under these keys.
    Move { member: Member, behind: (Span, Span), keys: Vec<&'static str> },
    /// `$from: {…}` becomes this reference. The `path` beside it is removed when it becomes a part of the reference.
    Reference { from: Span, key: &'static str, value: Option<Span>, path: Option<Member> },
}

/// A member and the text around it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub key: Span,
    pub value: Span,
    /// With the comma that belongs to it, in an object with braces.
    pub with_comma: Span,
    /// The object that it is a member of.
    pub object: Span,
}

impl Member {
    /// The member at this index of an object; `None` when its value is a copy of an alias.
    pub fn of(object: &Node, place: usize) -> Option<Self> {
        let entries = object.entries();
        let entry = entries.get(place).filter(|entry| is_written_out(entry))?;
        let span = entry.span();
        let with_comma = match (place.checked_sub(1).and_then(|before| entries.get(before)), entries.get(place + 1)) {
            (Some(before), _) => Span::new(before.value.span.end, span.end),
            (None, Some(after)) => Span::new(span.start, after.key_span.start),
            (None, None) => span,
        };
        Some(Self { key: entry.key_span, value: entry.value.span, with_comma, object: object.span })
    }
}

/// Whether the value is written after its key, and is not the copy of an alias.
fn is_written_out(entry: &Entry) -> bool {
    entry.value.span.start >= entry.key_span.end
}

impl Repair {
    pub fn nest(entry: &Entry, keys: &[&'static str]) -> Option<Self> {
        is_written_out(entry).then(|| Self::Nest { value: entry.value.span, keys: keys.to_vec() })
    }

    pub fn gather(members: &[Entry]) -> Option<Self> {
        let (first, last) = (members.first()?, members.last()?);
        let all_stand = members.iter().all(is_written_out);
        all_stand.then_some(Self::Gather { first: first.key_span, last: last.value.span, key: "properties" })
    }

    pub fn r#move(member: Member, into: &Node, keys: &[&'static str]) -> Option<Self> {
        let last = into.entries().last().filter(|last| is_written_out(last))?;
        Some(Self::Move { member, behind: (last.key_span, last.value.span), keys: keys.to_vec() })
    }

    /// The present form of `{$from: …}`, if it is a plain reference.
    pub fn reference(node: &Node) -> Option<Self> {
        let place = node.entries().iter().position(|entry| entry.key == "$from")?;
        let from = node.entries().get(place).filter(|from| is_written_out(from))?;
        let [source] = from.value.entries() else { return None };
        let path = node.entries().iter().position(|entry| entry.key == "path");
        let known = 1 + usize::from(path.is_some());
        if node.entries().len() != known || source.value.as_str().is_none() || !is_written_out(source) {
            return None;
        }
        let of_path = path.and_then(|path| node.entries().get(path)).map(|path| &path.value);
        let path =
            path.map(|path| Member::of(node, path)).filter(|_| of_path.is_some_and(|path| path.as_str().is_some()));
        let (key, value, path) = match (source.key.as_str(), path) {
            ("step", _) => ("$step", Some(source.value.span), None),
            ("variable", None) if of_path.is_none() => ("$variable", Some(source.value.span), None),
            ("workflow", None) if of_path.is_none() => ("$input", None, None),
            ("workflow", Some(path)) => ("$input", Some(path.as_ref()?.value), path),
            _ => return None,
        };
        Some(Self::Reference { from: from.span(), key, value, path })
    }

    /// The changes to the text; `None` where its layout does not allow them.
    pub fn in_text(self, text: &str, at: Span) -> Option<Fix> {
        let layout = Layout { text };
        let written = || layout.word(at);
        let (mut edits, summary): (Vec<Edit>, String) = match self {
            Self::Rename(name) => {
                let summary = format!("`{}` → `{name}`", written()?);
                (vec![edit(at, layout.quoted_like(at, &name)?)], summary)
            }
            Self::Nest { value, keys } => {
                let summary = format!("`{}` → `{}`", written()?, keys.join("."));
                (layout.nested(at, value, &keys)?, summary)
            }
            Self::Gather { first, last, key } => {
                (layout.gathered(first, last, key)?, format!("the parts of `schemas` → `schemas.{key}`"))
            }
            Self::Move { member, behind, keys } => {
                let summary = format!("`{}` → `schemas.{}`", written()?, keys_within(&keys));
                (layout.moved(&member, behind, &keys)?, summary)
            }
            Self::Reference { from, key, value, path } => {
                let raw = |span: Span| text.get(span.start..span.end);
                let plain = raw(from).filter(|written| !written.contains('#'))?;
                let value = value.map_or_else(|| layout.quoted_like(at, "$"), |span| raw(span).map(str::to_owned))?;
                let reference = format!("{}: {value}", layout.quoted_like(at, key)?);
                let summary = format!("`{}` → `{reference}`", plain.split_whitespace().collect::<Vec<_>>().join(" "));
                let removed = path.map(|path| layout.without(&path));
                let removed = removed.map_or(Some(Vec::new()), |removed| removed.map(|edit| vec![edit]))?;
                (removed.into_iter().chain([edit(from, reference)]).collect(), summary)
            }
        };
        edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        let apart = edits.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start);
        apart.then_some(Fix { edits, summary })
    }
}

impl Fix {
    /// The text with the changes.
    #[must_use]
    pub fn applied(&self, text: &[u8]) -> Vec<u8> {
        let mut changed = Vec::with_capacity(text.len());
        let mut done = 0;
        for edit in &self.edits {
            changed.extend_from_slice(&text[done..edit.span.start.max(done)]);
            changed.extend_from_slice(edit.replacement.as_bytes());
            done = edit.span.end.max(done);
        }
        changed.extend_from_slice(&text[done..]);
        changed
    }
}

/// The keys inside `schemas`, joined to a path.
fn keys_within(keys: &[&str]) -> String {
    let within = if keys.len() == 1 { "properties." } else { "" };
    format!("{within}{}", keys.join("."))
}
