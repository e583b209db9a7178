//! Sections of older flows that have exactly one meaning today: `inputSchema` and `outputSchema` at the top, and
//! `schemas` with its parts not under `properties`. The tree is brought into today's shape before anything is read from
//! it.

use std::borrow::Cow;

use crate::decoder::Decoder;
use crate::diagnostics::Code;
use crate::node::{Content, Entry, Node};
use crate::repair::{Member, Repair};
use crate::source::Span;

/// The parts of `schemas`.
pub(super) const PARTS: [&str; 4] = ["input", "output", "variables", "steps"];

/// The old keys of a flow that are parts of `schemas` now.
const TOP: [(&str, &str); 4] =
    [("inputSchema", "input"), ("outputSchema", "output"), ("input_schema", "input"), ("output_schema", "output")];

/// The tree of a flow with its old sections moved to where they are today; each move is reported as 1008. What cannot
/// be moved exactly stays where it is and is refused there.
pub(crate) fn modern<'n>(decoder: &mut Decoder, root: Cow<'n, Node>) -> Cow<'n, Node> {
    let bare = root.get("schemas").is_some_and(|schemas| PARTS.iter().any(|part| schemas.get(part).is_some()));
    if !bare && TOP.iter().all(|(key, _)| root.get(key).is_none_or(Node::is_null)) {
        return root;
    }
    let mut root = root.into_owned();
    // A second move would change text that the first has changed already. Its fix is found when the fixed text is read
    // again.
    let mut untouched = !gather(decoder, &mut root);
    let mut keys = TOP;
    keys.sort_by_key(|(key, _)| root.entries().iter().position(|entry| entry.key == *key));
    for (key, part) in keys {
        untouched &= !move_into_schemas(decoder, &mut root, key, part, untouched);
    }
    Cow::Owned(root)
}

/// Moves parts that are directly in `schemas` under its `properties`. Returns whether there were any.
fn gather(decoder: &mut Decoder, root: &mut Node) -> bool {
    let Some(schemas) = member(root, "schemas") else { return false };
    let is_part = |entry: &Entry| PARTS.contains(&entry.key.as_str());
    let entries = schemas.entries();
    let has_properties = schemas.get("properties").is_some_and(|properties| !properties.is_null());
    let steps_are_a_schema = schemas.get("steps").is_none_or(|steps| steps.is_null() || is_schema_of_steps(steps));
    if has_properties || !steps_are_a_schema || !entries.iter().any(is_part) {
        return false;
    }
    let parts: Vec<Entry> = entries.iter().filter(|one| is_part(one) && !one.value.is_null()).cloned().collect();
    let together = entries.iter().skip_while(|one| !is_part(one)).take_while(|one| is_part(one)).count();
    let repair = (together == parts.len()).then(|| Repair::gather(&parts)).flatten();
    decoder.inside("schemas", |decoder| {
        for part in &parts {
            report(decoder, part, &format!("schemas.{}", part.key), &part.key, repair.clone(), "");
        }
    });
    let Content::Object(entries) = &mut schemas.content else { return false };
    let place = entries.iter().position(is_part).unwrap_or_default();
    entries.retain(|entry| !is_part(entry) && entry.key != "properties");
    if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
        let span = first.key_span.to(last.value.span);
        let properties = Entry { key: "properties".to_owned(), key_span: first.key_span, value: object(span, parts) };
        entries.insert(place.min(entries.len()), properties);
    }
    true
}

/// Whether this is a schema, and not an object with a schema for each step.
fn is_schema_of_steps(steps: &Node) -> bool {
    let has_members = steps.get("properties").is_some_and(|members| matches!(members.content, Content::Object(_)));
    has_members || steps.entries().is_empty()
}

/// Moves a key of the flow under `schemas.properties`, if that place is free. Returns whether it did.
fn move_into_schemas(decoder: &mut Decoder, root: &mut Node, key: &str, part: &str, untouched: bool) -> bool {
    let place = root.entries().iter().position(|entry| entry.key == key && !entry.value.is_null());
    let Some((place, repair)) = place.and_then(|place| Some((place, repair_of_move(root, place, part)?))) else {
        return false;
    };
    let Content::Object(entries) = &mut root.content else { return false };
    let old = entries.remove(place);
    let beside_null = root.get("schemas").is_some_and(Node::is_null);
    let place = if beside_null { ", in the place of the `null` that is there" } else { "" };
    report(decoder, &old, key, part, repair.filter(|_| untouched), place);
    let span = old.key_span.to(old.value.span);
    let properties =
        member_or_new(root, "schemas", span).and_then(|schemas| member_or_new(schemas, "properties", span));
    if let Some(Content::Object(entries)) = properties.map(|properties| &mut properties.content) {
        entries.retain(|entry| entry.key != part);
        entries.push(Entry { key: part.to_owned(), ..old });
    }
    true
}

/// The repair of the text, if there is one; the outer `None` when the move is not exact.
#[expect(clippy::option_option, reason = "whether it may move, and whether the text of that is known")]
fn repair_of_move(root: &Node, place: usize, part: &str) -> Option<Option<Repair>> {
    let old = &root.entries()[place];
    let moved = Member::of(root, place);
    let Some(schemas) = root.get("schemas").filter(|schemas| !schemas.is_null()) else {
        let in_text = root.get("schemas").is_none();
        return Some(Repair::nest(old, &["schemas", "properties", key_of(part)]).filter(|_| in_text));
    };
    if !matches!(schemas.content, Content::Object(_)) || PARTS.iter().any(|part| schemas.get(part).is_some()) {
        return None;
    }
    match schemas.get("properties").filter(|properties| !properties.is_null()) {
        None => Some(Repair::r#move(moved?, schemas, &["properties", key_of(part)])),
        Some(properties) => {
            let free = properties.get(part).is_none_or(Node::is_null);
            let is_object = matches!(properties.content, Content::Object(_));
            (free && is_object).then(|| Repair::r#move(moved?, properties, &[key_of(part)]))
        }
    }
}

fn key_of(part: &str) -> &'static str {
    PARTS.into_iter().find(|known| *known == part).unwrap_or_default()
}

fn report(decoder: &mut Decoder, old: &Entry, written: &str, part: &str, repair: Option<Repair>, place: &str) {
    decoder.inside(&old.key, |decoder| {
        decoder
            .report(
                Code::OldSection,
                old.key_span,
                format!("`{written}` is an old spelling of `schemas.properties.{part}`, and is read as that"),
            )
            .repair(repair)
            .help(format!("write `schemas: {{properties: {{{part}: …}}}}`{place}"));
    });
}

fn member<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let Content::Object(entries) = &mut node.content else { return None };
    entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
}

/// The member of an object; a new one when it is absent or `null`.
fn member_or_new<'n>(node: &'n mut Node, key: &str, span: Span) -> Option<&'n mut Node> {
    let Content::Object(entries) = &mut node.content else { return None };
    entries.retain(|entry| entry.key != key || !entry.value.is_null());
    let place = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        entries.push(Entry { key: key.to_owned(), key_span: span, value: object(span, Vec::new()) });
        entries.len() - 1
    });
    entries.get_mut(place).map(|entry| &mut entry.value)
}

fn object(span: Span, entries: Vec<Entry>) -> Node {
    Node { span, content: Content::Object(entries) }
}
