//! JSON merge patches (RFC 7396) of steps. One rule is our own: an expression is replaced as a whole, because a
//! reference with the members of two would be invalid.

use std::collections::{HashMap, HashSet};

use crate::decode::is_expression;
use crate::node::{Content, Entry, Node};

/// Merges a patch into a step. Only its `input` holds expressions.
pub(super) fn step(step: &mut Node, patch: &Node) {
    merge(step, patch, &|key| key == "input");
}

/// Merges a patch into a value. `is_input` says for a member of this value whether its value is an expression.
fn merge(target: &mut Node, patch: &Node, is_input: &dyn Fn(&str) -> bool) {
    let Content::Object(changes) = &patch.content else {
        target.clone_from(patch);
        return;
    };
    if !matches!(target.content, Content::Object(_)) {
        *target = Node { span: patch.span, content: Content::Object(Vec::new()) };
    }
    let Content::Object(entries) = &mut target.content else { return };
    let places: HashMap<String, usize> =
        entries.iter().enumerate().map(|(place, entry)| (entry.key.clone(), place)).collect();
    let mut removed = HashSet::new();
    for change in changes {
        let place = places.get(&change.key).copied();
        if change.value.is_null() {
            removed.extend(place);
            continue;
        }
        let place = place.unwrap_or_else(|| added(entries, change));
        let entry = &mut entries[place];
        if is_input(&change.key) {
            merge_expression(&mut entry.value, &change.value);
        } else {
            merge(&mut entry.value, &change.value, &|_| false);
        }
    }
    let mut place = 0..;
    entries.retain(|_| place.next().is_none_or(|place| !removed.contains(&place)));
}

/// The index of a new member, which is `null` until its value is set.
fn added(entries: &mut Vec<Entry>, change: &Entry) -> usize {
    let value = Node { span: change.value.span, content: Content::Null };
    entries.push(Entry { key: change.key.clone(), key_span: change.key_span, value });
    entries.len() - 1
}

/// Merges a patch into an expression. A constant object is merged member by member; every other expression, in the step
/// or in the patch, is replaced as a whole.
fn merge_expression(target: &mut Node, patch: &Node) {
    if is_expression(patch) {
        *target = without_emptied(patch);
        return;
    }
    if is_expression(target) {
        *target = Node { span: patch.span, content: Content::Null };
    }
    merge(target, patch, &|_| true);
}

/// A new expression without the members that published servers expect to be `null`, to remove the old expression
/// (`{"$input": "q", "$step": null, "path": null}`).
fn without_emptied(patch: &Node) -> Node {
    let reference = |key: &str| ["$step", "$input", "$variable"].contains(&key);
    let named = patch.entries().iter().filter(|entry| entry.key.starts_with('$') && !entry.value.is_null()).count();
    let emptied =
        |entry: &&Entry| entry.value.is_null() && ((reference(&entry.key) && named > 0) || entry.key == "path");
    let entries = patch.entries().iter().filter(|entry| !emptied(entry)).cloned().collect();
    Node { span: patch.span, content: Content::Object(entries) }
}
