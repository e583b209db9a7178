//! Spellings of older languages. Ignoring them would change what runs, so they are fatal and name the new spelling.

use crate::decoder::{Decoder, Fields};
use crate::diagnostics::Code;
use crate::node::Node;

const FLOW_KEYS: [(&str, &str); 3] = [
    ("variables", "declare variables under `schemas.properties.variables`"),
    ("inputSchema", "write it under `schemas.properties.input`"),
    ("outputSchema", "write it under `schemas.properties.output`"),
];

const STEP_KEYS: [(&str, &str); 5] = [
    ("skipIf", "steps run only when needed: choose with `{$if: …, then: …, else: …}` where the result is used"),
    ("skip", "steps run only when needed: choose with `{$if: …, then: …, else: …}` where the result is used"),
    ("on_error", "write `onError`"),
    ON_SKIP,
    TRANSFORM,
];

const ON_SKIP: (&str, &str) = ("onSkip", "nothing is skipped; write `{$coalesce: [<reference>, <default>]}`");
const TRANSFORM: (&str, &str) = ("transform", "references are not transformed; use a `path`, or a step that does it");

/// Actions that are gone, and what is written instead.
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

/// A `schemas` section whose parts are not under `properties`.
pub(super) fn report_bare_schemas(decoder: &mut Decoder, schemas: &Node) {
    for entry in
        schemas.entries().iter().filter(|entry| ["input", "output", "variables", "steps"].contains(&&*entry.key))
    {
        decoder.inside(&entry.key, |decoder| {
            decoder
                .report(Code::OldSpelling, entry.key_span, format!("`schemas.{}` is an old spelling", entry.key))
                .help(format!(
                    "`schemas` is a JSON Schema: write `schemas: {{type: object, properties: {{{}: …}}}}`",
                    entry.key
                ));
        });
    }
}

/// `{$from: …}`, the reference of the oldest language.
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
    decoder.report(Code::OldSpelling, entry.key_span, "`$from` is an old spelling").help(advice);
}

fn report(decoder: &mut Decoder, fields: &mut Fields<'_>, keys: &[(&'static str, &str)]) {
    for (key, advice) in keys {
        let Some(entry) = fields.node().entry(key) else { continue };
        decoder.inside(key, |decoder| {
            decoder.report(Code::OldSpelling, entry.key_span, format!("`{key}` is an old spelling")).help(*advice);
        });
        fields.ignore(key);
    }
}
