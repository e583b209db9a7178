//! The shape of the configuration as JSON Schema, for editors and for generated types in other languages.

use serde_json::{Map, Value as Json, json};

use super::keys;
use super::shape::{Key, Object, Shape, Variant};

/// What is said of a key or a type that this release does not have.
const NOT_BUILT: &str = "Not built yet.";

/// The JSON Schema of a configuration file after its variables are filled in.
#[must_use]
pub fn schema() -> Json {
    let mut definitions = Map::new();
    let mut root = object(&keys::ROOT, None, &mut definitions);
    if let Json::Object(members) = &mut root {
        members.shift_insert(0, "$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("$defs".to_owned(), Json::Object(definitions));
    }
    root
}

/// `variant` is the value of `type` and whether this release has it.
fn object(object: &Object, variant: Option<(&str, bool)>, definitions: &mut Map<String, Json>) -> Json {
    let mut properties = Map::new();
    if let Some((kind, built)) = variant {
        let mut schema = json!({"const": kind, "type": "string"});
        if !built {
            schema["description"] = json!(NOT_BUILT);
        }
        properties.insert("type".to_owned(), schema);
    }
    for key in object.keys {
        properties.insert(key.name.to_owned(), member(key, definitions));
    }
    let single = object.required.iter().filter(|keys| keys.len() == 1).flat_map(|keys| keys.iter().copied());
    let required: Vec<&str> = variant.map(|_| "type").into_iter().chain(single).collect();
    let choices: Vec<Json> = object
        .required
        .iter()
        .filter(|keys| keys.len() > 1)
        .map(|keys| json!({"anyOf": keys.iter().map(|key| json!({"required": [key]})).collect::<Vec<_>>()}))
        .collect();
    let mut schema = json!({
        "title": object.name,
        "description": object.about,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let Json::Object(members) = &mut schema {
        if !required.is_empty() {
            members.insert("required".to_owned(), json!(required));
        }
        if !choices.is_empty() {
            members.insert("allOf".to_owned(), Json::Array(choices));
        }
    }
    schema
}

fn member(key: &Key, definitions: &mut Map<String, Json>) -> Json {
    let mut schema = of(key.shape, definitions);
    if let Json::Object(members) = &mut schema {
        let about = if key.built { key.about.to_owned() } else { format!("{} {NOT_BUILT}", key.about) };
        members.insert("description".to_owned(), Json::String(about));
        if let Some(default) = key.default.and_then(|json| serde_json::from_str(json).ok()) {
            members.insert("default".to_owned(), default);
        }
    }
    schema
}

fn of(shape: Shape, definitions: &mut Map<String, Json>) -> Json {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Factor => json!({"type": "number", "minimum": 1}),
        Shape::Time => json!({"type": ["string", "number"]}),
        Shape::Size => json!({"type": ["string", "integer"]}),
        Shape::Host | Shape::Origin => json!({"type": "string"}),
        Shape::Path => json!({"type": "string"}),
        Shape::Any => json!({}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::List { of: element, .. } => json!({"type": "array", "items": of(*element, definitions)}),
        Shape::Map { of: value, .. } => json!({"type": "object", "additionalProperties": of(*value, definitions)}),
        Shape::Object(named) => reference(named, None, definitions),
        Shape::ByType(variants) => {
            let each = |variant: &Variant| reference(&variant.object, Some((variant.name, variant.built)), definitions);
            json!({"oneOf": variants.iter().map(each).collect::<Vec<_>>()})
        }
        Shape::Either(shapes) => {
            json!({"anyOf": shapes.iter().map(|shape| of(*shape, definitions)).collect::<Vec<_>>()})
        }
    }
}

fn reference(named: &Object, variant: Option<(&str, bool)>, definitions: &mut Map<String, Json>) -> Json {
    if !definitions.contains_key(named.name) {
        // This reserves its place before the definitions that it refers to.
        definitions.insert(named.name.to_owned(), Json::Null);
        let schema = object(named, variant, definitions);
        definitions.insert(named.name.to_owned(), schema);
    }
    json!({"$ref": format!("#/$defs/{}", named.name)})
}
