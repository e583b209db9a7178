//! Compares the fields of a step's input with the schema of its component, as far as they are known before the run. A
//! field that the schema does not name is most likely misspelt, and the component would not see it. One that the schema
//! forbids, or one that it requires and that is not there, would make the step fail.

use serde_json::Value as Schema;
use stepflow_engine::ports::ComponentHost as _;
use stepflow_flow::schema::document::{Document, Subschema};
use stepflow_flow::subflow;
use stepflow_flow::{Code, Diagnostic, Expression, Flow, Loaded, Path, suggest};
use stepflow_hosts::Router;
use stepflow_protocol::{Kind, Value};

use crate::catalog::Catalog;
use crate::wording::first_of;

/// How many field names a diagnostic lists.
const NAMED: usize = 8;

/// A diagnostic for each field that is unknown, forbidden or missing.
pub fn misfits(flow: &Flow, loaded: &Loaded, router: &Router, catalog: &Catalog) -> Vec<Diagnostic> {
    let mut search = Search { found: Vec::new(), loaded, component: String::new() };
    let takers = |path: &str| router.takes_flow(path);
    subflow::each_step(flow, &takers, &Path::root(), &mut |step, place| {
        // When the plugin depends on the input, it is not known yet which schema applies.
        let routes = router.routes(&step.component);
        let [only] = routes.as_slice() else { return };
        let Some(schema) = catalog.find(only).and_then(|listed| listed.info.input_schema.as_ref()) else { return };
        let Some(document) = schema.to_json().ok().and_then(Document::of) else { return };
        let Some(schema) = document.root() else { return };
        search.component.clone_from(&step.component);
        let at = place.clone().field("input");
        match &step.input {
            // Without an input, or with `null`, all fields are missing that an object must have.
            Expression::Literal(none) if none.is_null() && is_object(&schema) => {
                search.required(&schema, |_| false, &at)
            }
            input => search.expression(input, &schema, &at),
        }
    });
    search.found
}

struct Search<'a> {
    found: Vec<Diagnostic>,
    loaded: &'a Loaded,
    component: String,
}

impl Search<'_> {
    fn expression(&mut self, expression: &Expression, schema: &Subschema<'_>, at: &Path) {
        match expression {
            Expression::Literal(value) => self.value(value, schema, at),
            Expression::Escaped(value) => self.value(value, schema, &at.clone().field("$literal")),
            Expression::Object(members) => {
                self.required(schema, |name| members.iter().any(|(key, _)| key == name), at);
                let Some(object) = ObjectSchema::of(schema) else { return };
                for (key, member) in members {
                    match object.property(key) {
                        Some(property) => self.expression(member, &property, &at.clone().field(key)),
                        None => self.report(&object, key, at),
                    }
                }
            }
            Expression::Array(items) => {
                let Some(schema) = elements(schema) else { return };
                for (index, item) in items.iter().enumerate() {
                    self.expression(item, &schema, &at.clone().index(index));
                }
            }
            // Their values are known only when the flow runs.
            Expression::Input(_)
            | Expression::Step { .. }
            | Expression::Variable { .. }
            | Expression::If { .. }
            | Expression::Coalesce(_) => {}
        }
    }

    fn value(&mut self, value: &Value, schema: &Subschema<'_>, at: &Path) {
        match value.kind() {
            Kind::Object => {
                self.required(schema, |name| value.field(name).is_some(), at);
                let Some(object) = ObjectSchema::of(schema) else { return };
                for (key, member) in value.members() {
                    match object.property(&key) {
                        Some(property) => self.value(&member, &property, &at.clone().field(&key)),
                        None => self.report(&object, &key, at),
                    }
                }
            }
            Kind::Array => {
                let Some(schema) = elements(schema) else { return };
                for (index, element) in value.elements().iter().enumerate() {
                    self.value(element, &schema, &at.clone().index(index));
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, object: &ObjectSchema<'_>, key: &str, around: &Path) {
        let names: Vec<&str> = object.properties.keys().map(String::as_str).collect();
        let message = format!("`{}` takes no field `{key}`", self.component);
        let help = match suggest::nearest(key, names.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if names.is_empty() => "it takes no fields".to_owned(),
            None => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("its fields are {}", first_of(&names, NAMED))
            }
        };
        let key_span = || Some(self.loaded.tree()?.find(around)?.entry(key)?.key_span);
        let path = around.clone().field(key);
        let code = if object.closed { Code::InvalidInputField } else { Code::UnknownInputField };
        self.found.push(Diagnostic::new(code, &path, message).at(key_span()).help(help));
    }

    /// Reports the fields that must be in an object and are not.
    fn required(&mut self, schema: &Subschema<'_>, has: impl Fn(&str) -> bool, at: &Path) {
        let Some(schema) = schema.followed() else { return };
        let names = schema.contents().get("required").and_then(Schema::as_array).into_iter().flatten();
        for name in names.filter_map(Schema::as_str).filter(|name| !has(name)) {
            let message = format!("`{}` needs the field `{name}` here", self.component);
            let about =
                schema.property(name).and_then(|field| Some(field.contents().get("description")?.as_str()?.to_owned()));
            let mut diagnostic = Diagnostic::new(Code::InvalidInputField, at, message).at(self.loaded.span(at));
            diagnostic.help = about.map(|about| format!("`{name}`: {about}"));
            self.found.push(diagnostic);
        }
    }
}

/// An object schema that lists all members.
struct ObjectSchema<'d> {
    /// Whether it refuses others.
    closed: bool,
    schema: Subschema<'d>,
    properties: &'d serde_json::Map<String, Schema>,
}

impl<'d> ObjectSchema<'d> {
    /// `None` when the schema allows other members, too, or is not one plain object.
    fn of(schema: &Subschema<'d>) -> Option<Self> {
        let schema = schema.followed()?;
        let written = schema.contents();
        let open = match written.get("additionalProperties") {
            None | Some(Schema::Bool(false)) => false,
            Some(_) => true,
        };
        let composed = ["patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef"];
        if open || composed.iter().any(|keyword| written.get(keyword).is_some()) {
            return None;
        }
        let closed = written.get("additionalProperties").is_some();
        Some(Self { closed, properties: written.get("properties")?.as_object()?, schema })
    }

    fn property(&self, name: &str) -> Option<Subschema<'d>> {
        self.schema.property(name)
    }
}

/// Whether a value must be an object.
fn is_object(schema: &Subschema<'_>) -> bool {
    schema.followed().is_some_and(|schema| schema.contents().get("type").and_then(Schema::as_str) == Some("object"))
}

/// The schema of an array's elements.
fn elements<'d>(schema: &Subschema<'d>) -> Option<Subschema<'d>> {
    let schema = schema.followed()?;
    // With `prefixItems`, `items` is not for the first ones.
    if schema.contents().get("prefixItems").is_some() { None } else { schema.keyword("items") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(schema: &Schema) -> Option<Vec<String>> {
        let document = Document::of(schema.clone()).unwrap();
        let object = ObjectSchema::of(&document.root().unwrap())?;
        Some(object.properties.keys().cloned().collect())
    }

    #[test]
    fn only_a_schema_that_lists_all_members_has_unknown_ones() {
        assert_eq!(names(&json!({"properties": {"a": {}}})), Some(vec!["a".to_owned()]));
        for open in [
            json!({"type": "object"}),
            json!({"properties": {"a": {}}, "additionalProperties": true}),
            json!({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}),
            json!({"properties": {"a": {}}, "patternProperties": {"^x": {}}}),
            json!({"properties": {"a": {}}, "anyOf": [{"required": ["a"]}]}),
            json!(true),
        ] {
            assert_eq!(names(&open), None, "{open}");
        }
    }

    #[test]
    fn references_are_followed_and_loops_end() {
        let with = |reference: &str| {
            json!({"$ref": reference, "$defs": {
                "In": {"$anchor": "in", "properties": {"n": {}}}, "Chain": {"$ref": "#in"}, "O": {"$ref": "#/$defs/O"}
            }})
        };
        for reference in ["#/$defs/In", "#in", "#/$defs/Chain"] {
            assert_eq!(names(&with(reference)), Some(vec!["n".to_owned()]), "{reference}");
        }
        assert_eq!(names(&with("#/$defs/O")), None);
    }
}
