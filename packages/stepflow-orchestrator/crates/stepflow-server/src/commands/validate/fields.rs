//! Literal fields of a step's input that the component's schema does not name: mostly misspelt ones, which the
//! component would never see.

use serde_json::Value as Schema;
use stepflow_flow::{Code, Diagnostic, Expression, Flow, Loaded, Path, suggest};
use stepflow_hosts::Router;
use stepflow_protocol::{Kind, Value};

use crate::catalog::Catalog;
use crate::subflow;

/// How many names a diagnostic lists.
const NAMED: usize = 8;

/// A diagnostic for each field that no schema names.
pub fn unknown(flow: &Flow, loaded: &Loaded, router: &Router, catalog: &Catalog) -> Vec<Diagnostic> {
    let mut search = Search { found: Vec::new(), loaded, root: Schema::Null, component: String::new() };
    subflow::each_step(flow, &Path::root(), &mut |step, place| {
        // Where the input decides on the plugin, nobody knows yet which schema counts.
        let routes = router.routes(&step.component);
        let [only] = routes.as_slice() else { return };
        let Some(schema) = catalog.find(only).and_then(|listed| listed.info.input_schema.as_ref()) else { return };
        let Ok(schema) = schema.to_json() else { return };
        search.root = schema.clone();
        search.component.clone_from(&step.component);
        search.expression(&step.input, &schema, &place.clone().field("input"));
    });
    search.found
}

struct Search<'a> {
    found: Vec<Diagnostic>,
    loaded: &'a Loaded,
    /// The schema in which references begin.
    root: Schema,
    component: String,
}

impl Search<'_> {
    fn expression(&mut self, expression: &Expression, schema: &Schema, at: &Path) {
        match expression {
            Expression::Literal(value) => self.value(value, schema, at),
            Expression::Escaped(value) => self.value(value, schema, &at.clone().field("$literal")),
            Expression::Object(members) => {
                let Some(object) = Object::of(schema, &self.root) else { return };
                for (key, member) in members {
                    match object.property(key) {
                        Some(property) => self.expression(member, &property, &at.clone().field(key)),
                        None => self.report(&object, key, at),
                    }
                }
            }
            Expression::Array(items) => {
                let Some(schema) = elements(schema, &self.root) else { return };
                for (index, item) in items.iter().enumerate() {
                    self.expression(item, &schema, &at.clone().index(index));
                }
            }
            // What these become is not in the document.
            Expression::Input(_)
            | Expression::Step { .. }
            | Expression::Variable { .. }
            | Expression::If { .. }
            | Expression::Coalesce(_) => {}
        }
    }

    fn value(&mut self, value: &Value, schema: &Schema, at: &Path) {
        match value.kind() {
            Kind::Object => {
                let Some(object) = Object::of(schema, &self.root) else { return };
                for (key, member) in value.members() {
                    match object.property(&key) {
                        Some(property) => self.value(&member, &property, &at.clone().field(&key)),
                        None => self.report(&object, &key, at),
                    }
                }
            }
            Kind::Array => {
                let Some(schema) = elements(schema, &self.root) else { return };
                for (index, element) in value.elements().iter().enumerate() {
                    self.value(element, &schema, &at.clone().index(index));
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, object: &Object, key: &str, around: &Path) {
        let names: Vec<&str> = object.properties.keys().map(String::as_str).collect();
        let message = format!("`{}` takes no field `{key}`", self.component);
        let help = match suggest::nearest(key, names.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if names.is_empty() => "it takes no fields".to_owned(),
            None => {
                let listed: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
                let more = if names.len() > NAMED { ", …" } else { "" };
                format!("its fields are {}{more}", listed.join(", "))
            }
        };
        let key_span = || Some(self.loaded.tree()?.find(around)?.entry(key)?.key_span);
        let path = around.clone().field(key);
        self.found.push(Diagnostic::new(Code::UnknownInputField, &path, message).at(key_span()).help(help));
    }
}

/// An object schema that says which members there are.
struct Object {
    properties: serde_json::Map<String, Schema>,
}

impl Object {
    /// `None` when the schema leaves open what else may be there, or is not one plain object.
    fn of(schema: &Schema, root: &Schema) -> Option<Self> {
        let schema = resolved(schema, root)?;
        let open = match schema.get("additionalProperties") {
            None | Some(Schema::Bool(false)) => false,
            Some(_) => true,
        };
        let composed = ["patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef"];
        if open || composed.iter().any(|keyword| schema.get(keyword).is_some()) {
            return None;
        }
        Some(Self { properties: schema.get("properties")?.as_object()?.clone() })
    }

    fn property(&self, name: &str) -> Option<Schema> {
        self.properties.get(name).cloned()
    }
}

/// The schema of an array's elements.
fn elements(schema: &Schema, root: &Schema) -> Option<Schema> {
    resolved(schema, root)?.get("items").cloned()
}

/// The schema that a reference inside the document leads to; itself when it is none.
fn resolved<'a>(schema: &'a Schema, root: &'a Schema) -> Option<&'a Schema> {
    let mut schema = schema;
    // References may lead in circles; nobody nests them deeper.
    for _ in 0..16 {
        let Some(reference) = schema.get("$ref").and_then(Schema::as_str) else { return Some(schema) };
        schema = root.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(schema: &Schema) -> Option<Vec<String>> {
        Object::of(schema, schema).map(|object| object.properties.keys().cloned().collect())
    }

    #[test]
    fn only_a_schema_that_names_its_members_knows_unknown_ones() {
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
    fn references_are_followed_and_circles_end() {
        let schema =
            json!({"$ref": "#/$defs/In", "$defs": {"In": {"properties": {"n": {}}}, "O": {"$ref": "#/$defs/O"}}});
        assert_eq!(names(&schema), Some(vec!["n".to_owned()]));
        assert!(resolved(&json!({"$ref": "#/$defs/O"}), &schema).is_none());
    }
}
