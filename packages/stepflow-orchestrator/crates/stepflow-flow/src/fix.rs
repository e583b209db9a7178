//! Repairs the text of a flow where only one repair is right: names that are near a known one, and spellings of older
//! languages. Every other byte stays, and so does the meaning of the flow.

use std::collections::{BTreeMap, HashSet};

use stepflow_protocol::Value;

use crate::diagnostics::{Code, Diagnostic};
use crate::load::{Loaded, load_routed};
use crate::node::{Content, Entry, Node};
pub use crate::repair::{Edit, Fix};
use crate::source::{Lines, Source};
use crate::subflow::Takers;

/// A repair that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The line in the original text.
    pub line: usize,
    /// What was changed.
    pub summary: String,
}

/// The document with all repairs, and a list of them. A text with broken syntax stays as it is.
#[must_use]
pub fn fixed(source: Source, takers: Takers<'_>) -> (Source, Vec<Change>) {
    let original = source.text.clone();
    let lines = Lines::of(&original);
    let mut loaded = load_routed(source, takers);
    let mut changes = Vec::new();
    let mut moved = Moved::default();
    let mut refused = HashSet::new();
    while let Some((diagnostic, fix)) = next(&loaded, &refused) {
        let mended = Source { text: fix.applied(&loaded.source.text), ..loaded.source.clone() };
        let again = load_routed(mended, takers);
        if !is_better(&loaded, &again, diagnostic) {
            refused.insert((diagnostic.code, diagnostic.path.clone()));
            continue;
        }
        let begins = diagnostic.span.map_or(0, |span| span.start);
        let line = lines.position(moved.original(begins)).line;
        changes.push(Change { line, summary: fix.summary.clone() });
        moved.passes.push(fix.edits.clone());
        loaded = again;
    }
    changes.sort_by_key(|change| change.line);
    (loaded.source, changes)
}

fn next<'l>(loaded: &'l Loaded, refused: &HashSet<(Code, String)>) -> Option<(&'l Diagnostic, &'l Fix)> {
    let unrefused = loaded.diagnostics.iter().filter(|one| !refused.contains(&(one.code, one.path.clone())));
    unrefused.filter_map(|diagnostic| Some((diagnostic, diagnostic.fix.as_ref()?))).next()
}

/// Whether a fix did what it should and nothing else. The layout does not show everything in a text: an alias repeats
/// another part, and the repeated part may be data there.
fn is_better(before: &Loaded, after: &Loaded, fixed: &Diagnostic) -> bool {
    let (Some(old), Some(new)) = (before.tree(), after.tree()) else { return false };
    let same = |one: &&Diagnostic| (one.code, one.span) == (fixed.code, fixed.span);
    match fixed.code {
        Code::OldSection => meaning(&old.to_value()) == meaning(&new.to_value()),
        _ if after.diagnostics.iter().any(|one| (one.code, &one.path) == (fixed.code, &fixed.path)) => false,
        _ => names_changed(old, new).is_none_or(|changed| changed == before.diagnostics.iter().filter(same).count()),
    }
}

/// How many keys and scalars differ between trees of the same shape; `None` for different shapes.
fn names_changed(old: &Node, new: &Node) -> Option<usize> {
    let all = |pairs: &mut dyn Iterator<Item = Option<usize>>| pairs.sum::<Option<usize>>();
    match (&old.content, &new.content) {
        (Content::Object(old), Content::Object(new)) if old.len() == new.len() => {
            let pair = |(old, new): (&Entry, &Entry)| {
                Some(usize::from(old.key != new.key) + names_changed(&old.value, &new.value)?)
            };
            all(&mut old.iter().zip(new).map(pair))
        }
        (Content::Array(old), Content::Array(new)) if old.len() == new.len() => {
            all(&mut old.iter().zip(new).map(|(old, new)| names_changed(old, new)))
        }
        (Content::Object(_) | Content::Array(_), _) | (_, Content::Object(_) | Content::Array(_)) => None,
        (old, new) => Some(usize::from(old != new)),
    }
}

/// The members of a flow, without their order, which has no meaning.
fn meaning(flow: &Value) -> BTreeMap<String, Value> {
    flow.members().into_iter().collect()
}

/// Maps the bytes of a repaired text to those of the original.
#[derive(Default)]
struct Moved {
    passes: Vec<Vec<Edit>>,
}

impl Moved {
    fn original(&self, byte: usize) -> usize {
        self.passes.iter().rev().fold(byte, |byte, edits| before(byte, edits))
    }
}

/// The place before these edits of a byte after them. A byte that an edit wrote comes from the start of the edit.
fn before(byte: usize, edits: &[Edit]) -> usize {
    let (mut old, mut new) = (0, 0);
    for edit in edits {
        let kept = edit.span.start.saturating_sub(old);
        if byte < new + kept {
            break;
        }
        (old, new) = (edit.span.start, new + kept);
        if byte < new + edit.replacement.len() {
            return old;
        }
        (old, new) = (edit.span.end, new + edit.replacement.len());
    }
    old + (byte - new)
}
