//! Whether the flow's schemas are JSON Schemas.

use super::{Finding, Findings};
use crate::diagnostics::Code;
use crate::document::Flow;
use crate::path::Path;
use crate::schema::{InvalidSchema, Schema};

pub(super) fn check(flow: &Flow, findings: &mut Findings) {
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

fn finding(schema: Path, error: &InvalidSchema, what: &str) -> Finding {
    let inside = error.pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    let path = inside.fold(schema, |path, part| match part.parse() {
        Ok(index) => path.index(index),
        Err(_) => path.field(part),
    });
    Finding::new(Code::InvalidSchema, path, format!("the schema of `{what}` is not a JSON Schema: {}", error.message))
}
