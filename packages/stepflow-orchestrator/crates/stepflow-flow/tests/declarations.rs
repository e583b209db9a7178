//! Variables are declared by their schema, however it is written: in place, by reference, in parts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::{flow, found, value, yaml};
use stepflow_flow::{Variable, Variables};

/// The declared variables of a flow with these schemas, given in YAML in one line.
fn variables(schemas: &str) -> Variables {
    Variables::of(&flow(&format!("schemas: {schemas}\n")).schemas)
}

fn declared(schemas: &str, name: &str) -> Variable {
    variables(schemas).get(name).unwrap_or_else(|| panic!("{schemas}: `{name}` is not declared")).clone()
}

#[test]
fn a_reference_to_the_declarations_is_followed_however_it_is_written() {
    let variables = "{type: object, required: [a], properties: {a: {type: string, default: x, env_var: A}}}";
    for schemas in [
        format!("{{$defs: {{V: {variables}}}, properties: {{variables: {{$ref: '#/$defs/V'}}}}}}"),
        format!("{{$defs: {{V: {variables}}}, properties: {{variables: {{$ref: '#/schemas/$defs/V'}}}}}}"),
        format!("{{$defs: {{'V/~ %': {variables}}}, properties: {{variables: {{$ref: '#/$defs/V~1~0%20%25'}}}}}}"),
        format!("{{properties: {{variables: {{$defs: {{V: {variables}}}, $ref: '#/$defs/V'}}}}}}"),
        format!("{{$defs: {{V: {variables}, W: {{$ref: '#/$defs/V'}}}}, properties: {{variables: {{$ref: '#/$defs/W'}}}}}}"),
        format!("{{$defs: {{V: {variables}}}, properties: {{variables: {{allOf: [{{$ref: '#/$defs/V'}}]}}}}}}"),
        "{$defs: {V: {$anchor: v, required: [a], properties: {a: {type: string, default: x, env_var: A}}}}, properties: {variables: {$ref: '#v'}}}".to_owned(),
        "{$defs: {V: {$id: 'v.json', required: [a], properties: {a: {type: string, default: x, env_var: A}}}}, properties: {variables: {$ref: 'v.json'}}}".to_owned(),
        "{$defs: {V: {$dynamicAnchor: v, required: [a], properties: {a: {type: string, default: x, env_var: A}}}}, properties: {variables: {$dynamicRef: '#v'}}}".to_owned(),
    ] {
        let a = declared(&schemas, "a");
        assert_eq!(a.default, Some(value("\"x\"")), "{schemas}");
        assert_eq!((a.env_var.as_deref(), a.required), (Some("A"), true), "{schemas}");
    }
}

#[test]
fn a_reference_of_one_variable_is_followed() {
    let schemas = "{$defs: {Zip: {type: [string, 'null'], env_var: ZIP}}, properties: {variables: {properties: {\
                   zip: {$ref: '#/$defs/Zip'}, other: {$ref: '#/$defs/Zip', default: '1', env_var: OTHER}}}}}";
    assert_eq!(declared(schemas, "zip").default, Some(value("null")));
    assert_eq!(declared(schemas, "zip").env_var.as_deref(), Some("ZIP"));
    assert_eq!(declared(schemas, "other").default, Some(value("\"1\"")), "what stands beside a reference goes first");
    assert_eq!(declared(schemas, "other").env_var.as_deref(), Some("OTHER"));
    assert!(declared(schemas, "zip").takes("string") && declared(schemas, "zip").takes("null"));
    assert!(!declared(schemas, "zip").takes("integer"));
}

#[test]
fn an_id_inside_moves_where_references_begin() {
    let schemas = "{properties: {variables: {$ref: 'inner.json', $defs: {V: {properties: {outer: {}}}, In: {\
                   $id: 'inner.json', $ref: '#/$defs/V', $defs: {V: {properties: {inner: {default: 1}}}}}}}}}";
    assert_eq!(variables(schemas).names().collect::<Vec<_>>(), ["inner"]);
}

#[test]
fn a_default_behind_a_reference_keeps_all_its_digits() {
    let schemas = "{$defs: {Big: {default: 123456789012345678901234567890}}, properties: {variables: {properties: {\
                   a: {$ref: '#/$defs/Big'}}}}}";
    assert_eq!(declared(schemas, "a").default, Some(value("123456789012345678901234567890")));
}

#[test]
fn references_that_lead_in_a_circle_declare_what_they_pass() {
    let schemas = "{$defs: {A: {$ref: '#/$defs/B', properties: {a: {$ref: '#/$defs/A'}}}, B: {$ref: '#/$defs/A', properties: \
                   {b: {}}}}, properties: {variables: {$ref: '#/$defs/A'}}}";
    assert_eq!(variables(schemas).names().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_variable_that_is_declared_behind_a_reference_is_not_reported() {
    let loaded = yaml(
        "schemas: {$defs: {V: {properties: {lang: {type: string}}}}, properties: {variables: {$ref: '#/$defs/V'}}}\n\
         output: [{$variable: lang}, {$variable: land}]\n",
    );
    assert_eq!(found(&loaded), [(2005, "$.output[1]".to_owned(), 2, 30)]);
}

#[test]
fn a_path_is_compared_with_the_schema_behind_an_anchor() {
    let loaded = yaml(
        "schemas: {properties: {input: {$defs: {A: {$anchor: a, additionalProperties: false, properties: {name: {}}}}, \
         properties: {who: {$ref: '#a'}}}}}\noutput: {$input: $.who.nam}\n",
    );
    assert_eq!(found(&loaded), [(1003, "$.output".to_owned(), 2, 18)]);
}
