//! Whether the flow's schemas are JSON Schemas.

use stepflow_protocol::{Kind, Value};

use super::{Finding, Findings};
use crate::diagnostics::Code;
use crate::document::Flow;
use crate::json_pointer;
use crate::path::Path;
use crate::schema::{InvalidSchema, Schema};
use crate::suggest;

/// The keywords that mark a secret.
const MARKS: [&str; 2] = ["is_secret", "isSecret"];

/// Keywords whose value is an object of schemas, with names that the author has chosen.
const BY_NAME: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Keywords whose value is data and not a schema.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

pub(super) fn check(flow: &Flow, findings: &mut Findings) {
    misspelt_marks(flow.schemas.value(), &Path::root().field("schemas"), findings);
    let properties = || Path::root().field("schemas").field("properties");
    for part in ["input", "output", "variables"] {
        if let Err(error) = Schema::of_flow(&flow.schemas, part) {
            findings.push(finding(properties().field(part), &error, part));
        }
    }
    let Some(steps) = flow.schemas.part("steps").and_then(|steps| steps.field("properties")) else { return };
    for (id, schema) in steps.members() {
        if let Err(error) = Schema::with_definitions(&schema, &flow.schemas) {
            findings.push(finding(properties().field("steps").field("properties").field(id.as_str()), &error, &id));
        }
    }
}

/// Reports a keyword that was meant to mark a secret and does not: nothing else would show it.
fn misspelt_marks(schema: &Value, at: &Path, findings: &mut Findings) {
    for (place, element) in schema.elements().iter().enumerate() {
        misspelt_marks(element, &at.clone().index(place), findings);
    }
    for (key, value) in schema.members() {
        let here = at.clone().field(&key);
        if BY_NAME.contains(&key.as_str()) {
            for (name, schema) in value.members() {
                misspelt_marks(&schema, &here.clone().field(&name), findings);
            }
        } else if let Some(mark) = meant_mark(&key, &value) {
            let message = format!("the keyword `{key}` means nothing here, so it makes nothing secret");
            findings.push(Finding::new(Code::MisspeltKey, here, message).help(format!("did you mean `{mark}`?")));
        } else if !DATA.contains(&key.as_str()) {
            misspelt_marks(&value, &here, findings);
        }
    }
}

fn meant_mark(key: &str, value: &Value) -> Option<&'static str> {
    let is_truth = value.kind() == Kind::Bool || value.text().is_some_and(|text| text == "true");
    if MARKS.contains(&key) || !is_truth {
        return None;
    }
    let plain = key.replace(['_', '-'], "").to_lowercase();
    if ["secret", "issecret"].contains(&plain.as_str()) { Some(MARKS[0]) } else { suggest::nearest(key, MARKS) }
}

fn finding(schema: Path, error: &InvalidSchema, what: &str) -> Finding {
    let path = json_pointer::names(&error.pointer).fold(schema, |path, part| match part.parse() {
        Ok(index) => path.index(index),
        Err(_) => path.field(part),
    });
    Finding::new(Code::InvalidSchema, path, format!("the schema of `{what}` is not a JSON Schema: {}", error.message))
}
