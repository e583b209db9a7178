//! Spellings of older languages. They are errors that name the new spelling: to ignore them would change what runs.

use super::sections::PARTS;
use crate::decoder::{Decoder, Fields};
use crate::diagnostics::Code;
use crate::node::{Entry, Node};
use crate::repair::Repair;

const FLOW_KEYS: [(&str, &str); 3] = [
    ("variables", "declare variables under `schemas.properties.variables`"),
    (
        "inputSchema",
        "`schemas` says something of the input as well: keep one of them, under `schemas.properties.input`",
    ),
    (
        "outputSchema",
        "`schemas` says something of the output as well: keep one of them, under `schemas.properties.output`",
    ),
];

const STEP_KEYS: [(&str, &str); 5] = [
    ("skipIf", "steps run only when needed: choose with `{$if: …, then: …, else: …}` where the result is used"),
    ("skip", "steps run only when needed: choose with `{$if: …, then: …, else: …}` where the result is used"),
    ("on_error", "write `onError`"),
    ON_SKIP,
    TRANSFORM,
];

/// Old keys that have only another name now.
const RENAMED: [(&str, &str); 1] = [("on_error", "onError")];

const ON_SKIP: (&str, &str) = ("onSkip", "nothing is skipped; write `{$coalesce: [<reference>, <default>]}`");
const TRANSFORM: (&str, &str) = ("transform", "references are not transformed; use a `path`, or a step that does it");

/// Actions that no longer exist, and what to write instead.
pub(super) const ACTIONS: [(&str, &str); 2] = [
    ("skip", "write `action: useDefault`: the step's result is then `null`"),
    ("continue", "write `action: useDefault` with a `defaultValue`"),
];

pub(super) fn report_flow_keys(decoder: &mut Decoder, fields: &mut Fields<'_>) {
    report(decoder, fields, &FLOW_KEYS);
}

pub(super) fn report_step_keys(decoder: &mut Decoder, fields: &mut Fields<'_>) {
    report(decoder, fields, &STEP_KEYS);
}

pub(super) fn report_reference_keys(decoder: &mut Decoder, fields: &mut Fields<'_>) {
    report(decoder, fields, &[ON_SKIP, TRANSFORM]);
}

/// Reports parts of a `schemas` section that are not under `properties` and cannot be moved there exactly.
pub(super) fn report_bare_schemas(decoder: &mut Decoder, schemas: &Node) {
    let beside = schemas.get("properties").is_some_and(|properties| !properties.is_null());
    let bare = |entry: &&Entry| PARTS.contains(&&*entry.key) && !entry.value.is_null();
    for entry in schemas.entries().iter().filter(bare) {
        let key = &entry.key;
        let help = match (beside, key.as_str()) {
            (true, _) => format!(
                "`schemas` has `properties` as well: move it there, or remove it; only `properties.{key}` counts"
            ),
            (false, "steps") => "write `schemas: {properties: {steps: {properties: {<step>: …}}}}`".to_owned(),
            (false, _) => format!("`schemas` is a JSON Schema: write `schemas: {{properties: {{{key}: …}}}}`"),
        };
        decoder.inside(key, |decoder| {
            let message = format!("`schemas.{key}` is an old spelling");
            decoder.report(Code::OldSpelling, entry.key_span, message).help(help);
        });
    }
}

/// Reports `{$from: …}`, the reference of the oldest language.
pub(super) fn report_from(decoder: &mut Decoder, node: &Node) {
    let Some(entry) = node.entry("$from") else { return };
    let source = &entry.value;
    let path = node.get("path").and_then(Node::as_str).map(|path| format!(", path: {path}")).unwrap_or_default();
    let written = |key: &str| source.get(key).and_then(Node::as_str).map(str::to_owned);
    let advice = match (written("step"), source.get("workflow"), written("variable")) {
        (Some(step), _, _) => format!("write `{{$step: {step}{path}}}`"),
        (_, Some(_), _) => {
            format!("write `{{$input: {}}}`", node.get("path").and_then(Node::as_str).unwrap_or("$"))
        }
        (_, _, Some(variable)) => format!("write `{{$variable: {variable}}}`"),
        _ => "write `{$step: …}`, `{$input: …}` or `{$variable: …}`".to_owned(),
    };
    let repair = Repair::reference(node);
    decoder.report(Code::OldSpelling, entry.key_span, "`$from` is an old spelling").repair(repair).help(advice);
}

fn report(decoder: &mut Decoder, fields: &mut Fields<'_>, keys: &[(&'static str, &str)]) {
    for (key, advice) in keys {
        let Some(entry) = fields.node().entry(key) else { continue };
        fields.ignore_old(key);
        if entry.value.is_null() {
            continue;
        }
        let new = RENAMED.iter().find(|(old, _)| old == key).map(|(_, new)| *new);
        let repair = new.filter(|new| fields.node().entry(new).is_none()).map(|new| Repair::Rename(new.to_owned()));
        decoder.inside(key, |decoder| {
            let reported = decoder.report(Code::OldSpelling, entry.key_span, format!("`{key}` is an old spelling"));
            reported.repair(repair).help(*advice);
        });
    }
}
