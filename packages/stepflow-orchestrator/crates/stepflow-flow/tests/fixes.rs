//! What `validate --fix` changes in a text: it repairs what has one right answer, and changes nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::path::Path;

use common::{json, yaml};
use proptest::prelude::*;
use stepflow_flow::fix::{self, Change};
use stepflow_flow::subflow;
use stepflow_flow::{Loaded, Source, load};

fn fixed(source: Source) -> (Source, Vec<Change>) {
    fix::fixed(source, &subflow::by_default)
}

fn fixed_yaml(text: &str) -> String {
    String::from_utf8(fixed(Source::yaml("flow.yaml", text)).0.text).unwrap()
}

fn fixed_json(text: &str) -> String {
    String::from_utf8(fixed(Source::json("flow.json", text)).0.text).unwrap()
}

fn codes(loaded: &Loaded) -> Vec<u16> {
    common::found(loaded).into_iter().map(|(code, ..)| code).collect()
}

#[test]
fn a_misspelt_key_becomes_the_only_one_that_it_can_be() {
    let cases = [
        ("ouput: 1 # the end\n", "output: 1 # the end\n"),
        ("\"ouput\":   1\n", "\"output\":   1\n"),
        ("'ouput': 1\r\nnmae: n\r\n", "'output': 1\r\nname: n\r\n"),
        (
            "steps:\n- {id: a, component: /x, on_error: {action: fail}}\n",
            "steps:\n- {id: a, component: /x, onError: {action: fail}}\n",
        ),
        ("steps:\n- {id: a, component: x/y}\n", "steps:\n- {id: a, component: /x/y}\n"),
        (
            "steps:\n- {id: a, component: /x, onError: {action: usedefault}}\n",
            "steps:\n- {id: a, component: /x, onError: {action: useDefault}}\n",
        ),
        ("output: {$variable: v, defalut: 1}\n", "output: {$variable: v, default: 1}\n"),
        (
            "steps:\n- {id: a, component: /x, onErorr: {acton: retry, maxRetrys: 2, backof: {typ: constant, dely: 1s}}}\n",
            "steps:\n- {id: a, component: /x, onError: {action: retry, maxRetries: 2, backoff: {type: constant, delay: 1s}}}\n",
        ),
        (
            "steps:\n- {id: a, component: /x, onError: {action: retry, exhausted: {acton: useDefault, defaultValu: 1}}}\n",
            "steps:\n- {id: a, component: /x, onError: {action: retry, exhausted: {action: useDefault, defaultValue: 1}}}\n",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fixed_yaml(text), expected);
    }
}

#[test]
fn no_fix_is_offered_where_none_is_made() {
    for (text, help) in [
        (
            "steps:\n- id: a\n  component: /builtin/map\n  input: {items: [], workflow: {$literal: {inputSchema: {}, output: 1}}}\n",
            "write `schemas: {properties: {input: …}}`",
        ),
        (
            "inputSchema: true\nschemas: null\n",
            "write `schemas: {properties: {input: …}}`, in the place of the `null` that is there",
        ),
    ] {
        assert_eq!(fixed_yaml(text), text);
        let loaded = load(Source::yaml("flow.yaml", text));
        let old = loaded.diagnostics.iter().find(|one| one.code.number() == 1008).unwrap();
        assert_eq!((old.fix.as_ref(), old.help.as_deref()), (None, Some(help)));
    }
}

#[test]
fn a_section_that_is_refused_is_not_called_absent() {
    for schemas in [
        "schemas: {input: {}, variables: {properties: {v: {}}}, steps: {s: {type: object}}}",
        "schemas: {properties: {}, variables: {properties: {v: {}}}}",
        "variables: {v: 1}",
        "schemsa: {properties: {variables: {properties: {v: {}}}}}",
        "schemas: [{properties: {variables: {properties: {v: {}}}}}]",
    ] {
        let found = codes(&load(Source::yaml("flow.yaml", format!("{schemas}\noutput: {{$variable: v}}\n"))));
        assert!(!found.contains(&1004) && found.iter().any(|code| *code >= 2000), "{schemas}: {found:?}");
    }
    assert!(codes(&load(Source::yaml("flow.yaml", "ouput: 1\noutput: {$variable: v}\n"))).contains(&1004));
}

#[test]
fn what_has_several_answers_or_none_stays() {
    for text in [
        "output: 1\nOutput: 2\n", // the right key is here
        "ouput: 1\noutpt: 2\n",   // two keys mean the same one
        "owner: me\n",            // it is like no key
        "output: {$steps: a}\n",  // it may be data
        "steps:\n- {id: a, component: /x, skipIf: true}\n",
        "steps:\n- {id: a, component: /x, onError: {}, on_error: {action: fail}}\n",
        "output: {$from: {step: a}, onSkip: {action: skip}}\n",
        "ouput: [1\n",                              // its syntax is broken
        "metadata: {a: &x {stpes: 1}}\ntest: *x\n", // what is renamed is data elsewhere
        "inputSchema: {}\nschemas: {properties: {input: {}}}\n",
    ] {
        assert_eq!(fixed_yaml(text), text);
    }
}

#[test]
fn old_references_become_new_ones() {
    let cases = [
        ("output: {$from: {step: a}, path: $.k} # c\n", "output: {$step: a, path: $.k} # c\n"),
        ("output:\n  $from:\n    step: \"a\"\n  path: k\n", "output:\n  $step: \"a\"\n  path: k\n"),
        ("output:\n  $from: {workflow: input}\n  path: k # c\nname: n\n", "output:\n  $input: k\nname: n\n"),
        ("output: {$from: {workflow: input}}\n", "output: {$input: $}\n"),
        ("output: {path: a, $from: {workflow: input}}\n", "output: {$input: a}\n"),
        ("output: {$from: {variable: v}}\n", "output: {$variable: v}\n"),
    ];
    for (text, expected) in cases {
        let text = text.replace("name: n\n", "name: n\nsteps: [{id: a, component: /x}]\n");
        let expected = expected.replace("name: n\n", "name: n\nsteps: [{id: a, component: /x}]\n");
        assert_eq!(fixed_yaml(&text), expected);
    }
    let text = r#"{"output": {"$from": {"workflow": "input"}, "path": "$.k"}}"#;
    assert_eq!(fixed_json(text), r#"{"output": {"$input": "$.k"}}"#);
}

#[test]
fn old_sections_move_with_their_comments() {
    let text = "\
# A flow.
name: n
inputSchema: # what comes in
  type: object

  # its members
  properties:
    q: {type: string, description: |
      two
        lines}
steps: []
outputSchema: {type: string} # what comes out
output: {$input: $.q}
"
    .replace(", description: |\n      two\n        lines", "");
    let expected = "\
# A flow.
name: n
schemas:
  properties:
    input: # what comes in
      type: object

      # its members
      properties:
        q: {type: string}
    output: {type: string} # what comes out
steps: []
output: {$input: $.q}
";
    assert_eq!(fixed_yaml(&text), expected);
}

#[test]
fn parts_of_schemas_are_gathered_where_they_stand() {
    let text = "schemas:\n  type: object\n  # in\n  input:\n    description: |\n      a\n        b\n\n      c\n  output: {}\n  $defs: {}\noutput: 1\n";
    let expected = "schemas:\n  type: object\n  # in\n  properties:\n    input:\n      description: |\n        a\n          b\n\n        c\n    output: {}\n  $defs: {}\noutput: 1\n";
    assert_eq!(fixed_yaml(text), expected);
    assert_eq!(fixed_yaml("schemas: {input: {}, output: {}}\n"), "schemas: {properties: {input: {}, output: {}}}\n");
}

#[test]
fn json_keeps_its_layout() {
    let cases = [
        (
            r#"{"inputSchema": {"type": "object"}, "output": 1}"#,
            r#"{"schemas": {"properties": {"input": {"type": "object"}}}, "output": 1}"#,
        ),
        (
            r#"{"schemas": {"$defs": {}}, "outputSchema": {}}"#,
            r#"{"schemas": {"$defs": {}, "properties": {"output": {}}}}"#,
        ),
        (
            r#"{"outputSchema": {}, "schemas": {"properties": {"input": {}}}}"#,
            r#"{"schemas": {"properties": {"input": {}, "output": {}}}}"#,
        ),
        (
            "{\n  \"schemas\": {\n    \"input\": {},\n    \"output\": {}\n  }\n}\n",
            "{\n  \"schemas\": {\n    \"properties\": {\"input\": {},\n    \"output\": {}}\n  }\n}\n",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fixed_json(text), expected);
        assert_eq!(json(text).flow.unwrap().id(), json(expected).flow.unwrap().id());
    }
}

#[test]
fn a_change_is_told_with_its_line_in_the_text_as_it_was() {
    let text = "inputSchema:\n  type: object\noutputSchema:\n  type: object\nouput: 1\n";
    let (_, changes) = fixed(Source::yaml("flow.yaml", text));
    let told: Vec<(usize, &str)> = changes.iter().map(|change| (change.line, change.summary.as_str())).collect();
    let expected = [
        (1, "`inputSchema` → `schemas.properties.input`"),
        (3, "`outputSchema` → `schemas.properties.output`"),
        (5, "`ouput` → `output`"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_mended_needs_no_more_mending() {
    for text in ["inputSchema:\n  a: 1\nouput: 1\n", "schemas:\n  output: {}\ninputSchema: {}\n"] {
        let once = fixed_yaml(text);
        assert_eq!(fixed(Source::yaml("flow.yaml", once.as_str())).1, [], "{once}");
        assert!(codes(&yaml(&once)).is_empty(), "{once}");
    }
}

/// A JSON Schema, as it is written as the value of a key in a column.
fn schema() -> BoxedStrategy<fn(usize) -> String> {
    let block: fn(usize) -> String = |column| {
        let i = " ".repeat(column + 2);
        format!(
            "\n{i}type: object\n\n{i}# members\n{i}properties:\n{i}  q:\n{i}    description: |\n{i}      one\n\n{i}        two\n"
        )
    };
    let folded: fn(usize) -> String = |column| {
        let i = " ".repeat(column + 2);
        format!(" # c\n{i}description: \"one\n{i}  two\"\n{i}type: object\n")
    };
    prop_oneof![
        Just(block),
        Just(folded),
        Just((|_| " {type: object} # c\n".to_owned()) as fn(usize) -> String),
        Just((|_| " true\n".to_owned()) as fn(usize) -> String),
        Just((|column| format!(" {{type: object,\n{}  title: x}}\n", " ".repeat(column))) as fn(usize) -> String),
        Just((|column| format!(" &a\n{}  type: string\n", " ".repeat(column))) as fn(usize) -> String),
    ]
    .boxed()
}

/// An old section of a flow in block style.
fn section() -> impl Strategy<Value = String> {
    let part = prop_oneof![Just("input"), Just("output"), Just("variables")];
    let parts = || proptest::collection::btree_map(part.clone(), schema(), 1..4);
    let top = |key: &'static str| schema().prop_map(move |schema| format!("{key}:{}", schema(0)));
    prop_oneof![
        top("inputSchema"),
        top("outputSchema"),
        (parts(), any::<bool>()).prop_map(|(parts, defs)| {
            let head = if defs { "schemas:\n  $defs: {}\n" } else { "schemas:\n" };
            parts.iter().fold(head.to_owned(), |text, (part, schema)| text + &format!("  {part}:{}", schema(2)))
        }),
        parts().prop_map(|parts| {
            let head = "schemas:\n  properties:\n".to_owned();
            parts.iter().fold(head, |text, (part, schema)| text + &format!("    {part}:{}", schema(4)))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// The model: the canonical form is what a flow means, and a fix never changes it if the flow could be read before.
    #[test]
    fn a_fix_never_changes_what_a_flow_is(sections in proptest::collection::vec(section(), 1..4), crlf in any::<bool>()) {
        let mut seen = std::collections::BTreeSet::new();
        let once = sections.into_iter().filter(|text| seen.insert(text.split(':').next().unwrap().to_owned()));
        let mut text = format!("# top\nname: n\n{}# end\noutput: 1\n", once.collect::<Vec<_>>().join("# between\n"));
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        let before = yaml(&text);
        let (source, _) = fixed(Source::yaml("flow.yaml", text.as_str()));
        let after = load(source);
        if let Some(flow) = &before.flow {
            let mended = String::from_utf8_lossy(&after.source.text).into_owned();
            let after_flow = after.flow.as_ref();
            prop_assert_eq!(Some(flow.canonical()), after_flow.map(|flow| flow.canonical()), "{}\n---\n{}", text, mended);
            prop_assert!(!codes(&after).contains(&1008), "{}\n---\n{}", text, mended);
            prop_assert_eq!(text.matches('#').count(), mended.matches('#').count(), "{}\n---\n{}", text, mended);
        }
    }
}

#[test]
fn the_flows_of_the_old_shape_keep_their_ids_and_have_no_complaint_left() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../conformance/flows");
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
            let text = std::fs::read(&path).unwrap();
            let source = Source::new("flow", text, stepflow_flow::source::Format::of_path(&path));
            let before = load(source.clone());
            let (mended, changes) = fixed(source);
            let after = load(mended);
            assert!(!changes.is_empty(), "{}", path.display());
            let ids = [&before, &after].map(|loaded| {
                loaded.flow.as_ref().unwrap_or_else(|| panic!("{}: {}", path.display(), loaded.diagnostics)).id()
            });
            assert_eq!(ids[0], ids[1], "{}", path.display());
            // A literal is data and is not fixed: the flow would get another id.
            let left = after.diagnostics.iter().filter(|one| !one.path.contains("$literal")).count();
            assert_eq!(left, 0, "{}: {}", path.display(), after.diagnostics);
            tried += 1;
        }
    }
    assert!(tried >= 3);
}

#[test]
fn nothing_is_mended_into_an_old_spelling() {
    let text = "output: {$from: {step: a}, on_skip: x}\nsteps: [{id: a, component: /x, on_skip: x}]\n";
    let mended = fixed_yaml(text);
    assert!(mended.contains("on_skip: x") && !mended.contains("onSkip"), "{mended}");
}
