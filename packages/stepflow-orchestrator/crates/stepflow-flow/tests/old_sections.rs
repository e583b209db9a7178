//! Sections and shapes of older flow documents: which are read, and what is told of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::{found, json, yaml};

#[test]
fn old_sections_are_read_as_what_they_mean_with_a_warning() {
    let new = yaml("schemas: {properties: {input: {type: object}, output: {}}}\nname: n\ndescription: d\n");
    for text in [
        "name: n\ndescription: d\ninputSchema: {type: object}\noutputSchema: {}\n",
        "name: n\ndescription: d\nschemas: {input: {type: object}, output: {}}\n",
        "name: n\ndescription: d\nschemas: {properties: {input: {type: object}}}\noutputSchema: {}\n",
        "name: n\ndescription: d\nschemas: null\ninputSchema: {type: object}\noutputSchema: {}\n",
        "name: n\ndescription: d\nschemas: {properties: null, input: {type: object}, output: {}}\nvariables: null\n",
    ] {
        let old = yaml(text);
        assert_eq!(old.flow.as_ref().unwrap().id(), new.flow.as_ref().unwrap().id(), "{text}");
        assert!(found(&old).iter().all(|(code, ..)| *code == 1008), "{text}");
        let help = old.diagnostics.iter().last().unwrap().help.as_deref();
        assert_eq!(help, Some("write `schemas: {properties: {output: …}}`"), "{text}");
        let value: serde_json::Value = stepflow_flow::read_value(&old.source).unwrap().to_json().unwrap();
        assert_eq!(json(&value.to_string()).flow.unwrap().id(), new.flow.as_ref().unwrap().id(), "{text}");
    }
}

#[test]
fn old_sections_without_an_exact_translation_are_fatal() {
    let cases = [
        ("variables: {}", "$.variables"),
        ("inputSchema: {}\nschemas: {properties: {input: {}}}", "$.inputSchema"),
        ("outputSchema: {}\nschemas: []", "$.outputSchema"),
        ("schemas: {properties: {}, input: {}}", "$.schemas.input"),
        ("schemas: {steps: {a: {type: object}}}", "$.schemas.steps"),
    ];
    for (text, path) in cases {
        let loaded = yaml(&format!("{text}\n"));
        assert!(found(&loaded).iter().any(|one| one.0 == 3008 && one.1 == path), "{text}: {}", loaded.diagnostics);
        assert!(loaded.flow.is_none(), "{text}");
    }
}

#[test]
fn null_under_an_old_spelling_is_absence() {
    let plain = yaml("name: n\ndescription: d\nsteps: [{id: a, component: /x}]\noutput: {$step: a}\n");
    for (flow, step) in [
        ("inputSchema: null\noutputSchema:\nvariables: null\n", ""),
        ("schemas: {input: null}\n", ""),
        ("", ", skipIf: null, skip: null, on_error: null, onSkip: null, transform: null"),
    ] {
        let text =
            format!("name: n\ndescription: d\n{flow}steps: [{{id: a, component: /x{step}}}]\noutput: {{$step: a}}\n");
        let loaded = yaml(&text);
        assert!(loaded.diagnostics.is_empty(), "{text}: {}", loaded.diagnostics);
        assert_eq!(loaded.flow.unwrap().id(), plain.flow.as_ref().unwrap().id(), "{text}");
    }
}

#[test]
fn declarations_in_the_old_shape_are_found() {
    let loaded = yaml(
        "name: n\ndescription: d\nschemas: {variables: {properties: {a: {}}}}\noutput: [{$variable: a}, {$variable: b}]\n",
    );
    assert_eq!(found(&loaded).iter().map(|one| one.0).collect::<Vec<_>>(), [1008, 2005]);
}

#[test]
fn a_schema_in_an_old_section_is_placed_where_it_is_written() {
    let loaded = yaml("inputSchema:\n  type: objct\n");
    let invalid = found(&loaded).into_iter().find(|one| one.0 == 3009);
    assert_eq!(invalid, Some((3009, "$.schemas.properties.input.type".to_owned(), 2, 9)));
}
