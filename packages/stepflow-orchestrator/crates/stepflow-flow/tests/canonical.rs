//! The canonical form and the flow id.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::{flow, json, yaml};
use stepflow_flow::Flow;

fn canonical(text: &str) -> String {
    flow(text).canonical()
}

#[test]
fn our_keys_have_one_order_and_the_authors_keep_theirs() {
    let text = "
timeout: 90
metadata: {z: 1, a: 2}
examples: [{input: null, name: e}]
test: {cases: [{input: {b: 1, a: 2}, name: c, output: {outcome: success}}], configFile: f}
output: {z: {$input: q}, a: 1}
steps:
- {timeout: 30s, mustExecute: false, input: {k: 1}, metadata: {m: 1}, onError: {backoff: {max: 3s, type: exponential}, action: retry, maxRetries: 2}, component: /x, id: s}
schemas: {properties: {output: {}, input: {}}, type: object}
version: '1'
description: d
name: n
";
    assert_eq!(
        canonical(text),
        concat!(
            r#"{"name":"n","description":"d","version":"1","schemas":{"properties":{"output":{},"input":{}},"type":"object"},"#,
            r#""steps":[{"id":"s","component":"/x","onError":{"action":"retry","maxRetries":2,"backoff":{"max":"3s","type":"exponential"}},"#,
            r#""input":{"k":1},"mustExecute":false,"metadata":{"m":1},"timeout":"30s"}],"#,
            r#""output":{"z":{"$input":"$.q"},"a":1},"#,
            r#""test":{"configFile":"f","cases":[{"name":"c","input":{"b":1,"a":2},"output":{"outcome":"success"}}]},"#,
            r#""examples":[{"name":"e","input":null}],"metadata":{"z":1,"a":2},"timeout":90}"#
        )
    );
}

#[test]
fn the_same_flow_has_the_same_id_however_it_is_written() {
    let base = flow("name: n\nsteps: [{id: a, component: /x, input: {$input: $.a.b}}]\noutput: 1.5\n").id();
    let same = [
        "output: 1.50\nname: n\nsteps:\n  - component: /x\n    id: a\n    input: {$input: '$[\"a\"].b'}\n",
        "name: 'n'\ndescription: null\nsteps: [{id: a, component: /x, input: {$input: $.a.b, ignored: 1}, onError: null}]\noutput: 15e-1\nmetadata: {}\ntest: {cases: []}\nschemas: {type: object}\nunknown: 3\n",
    ];
    for text in same {
        assert_eq!(flow(text).id(), base, "{text}");
    }
    let other = [
        "name: n\nsteps: [{id: a, component: /x, input: {$input: a.b}}]\noutput: 1.5\n",
        "name: n\nsteps: [{id: a, component: /x, input: {$input: $.a.b}}]\noutput: 2\n",
        "name: n\nsteps: [{id: a, component: /x, input: {$input: $.a.b}, timeout: 1s}]\noutput: 1.5\n",
    ];
    for text in other {
        assert_ne!(flow(text).id(), base, "{text}");
    }
}

#[test]
fn yaml_and_json_of_the_same_document_have_the_same_id() {
    let from_yaml = flow("name: é\noutput: {n: 18446744073709551615, f: 1e16, on: yes}\n");
    let from_json =
        json(r#"{"name": "\u00e9", "output": {"n": 18446744073709551615, "f": 10000000000000000.0, "on": "yes"}}"#);
    assert_eq!(from_json.flow.unwrap().id(), from_yaml.id());
}

#[test]
fn the_canonical_form_reads_back_as_the_same_flow() {
    let first = flow(
        "steps: [{id: a, component: /x, onError: {action: useDefault, defaultValue: {}}, input: {$variable: $.v.x, default: null}}]
output: {$if: {$step: a, path: x y}, then: {$literal: {$step: 1}}, else: null}
test: {cases: [{name: c, input: null}]}
",
    );
    let again = json(&first.canonical());
    assert!(again.flow.is_some(), "{}", again.diagnostics);
    assert_eq!(again.flow.unwrap().canonical(), first.canonical());
    let through_serde: Flow = serde_json::from_str(&serde_json::to_string(&*first).unwrap()).unwrap();
    assert_eq!(through_serde, *first);
}

#[test]
fn the_id_is_the_sha256_of_the_canonical_form() {
    // echo -n '{"name":"n"}' | sha256sum
    assert_eq!(flow("name: n").id().to_string(), "e5d7b2adb8fb9f9187638229b0a2cf241c5f155867cd31c82cbb20c642e62554");
}

#[test]
fn deserialising_a_broken_flow_names_its_mistakes() {
    let error = serde_json::from_str::<Flow>(r#"{"output": {"$step": "x"}}"#).unwrap_err().to_string();
    assert!(error.contains("there is no step `x`"), "{error}");
}

#[test]
fn unknown_keys_leave_the_id_alone_and_are_reported() {
    let loaded = yaml("name: n\nowner: me\n");
    assert_eq!(loaded.flow.unwrap().id(), flow("name: n").id());
    assert!(loaded.diagnostics.iter().any(|one| one.code.number() == 1005));
}
