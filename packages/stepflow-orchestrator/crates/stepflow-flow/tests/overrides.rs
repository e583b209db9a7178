//! Overrides: what they change, and what they refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::sync::Arc;

use common::{flow, value};
use stepflow_flow::{Diagnostic, Diagnostics, Flow, Overrides, Plan, Source};

const FLOW: &str = "
name: n
steps:
- id: a
  component: /x
  timeout: 30s
  input: {rows: {$input: $.rows}, options: {deep: {keep: 1, drop: 2}}}
- id: b
  component: /y
  onError: {action: retry, maxRetries: 3}
  input: {$step: a, path: k}
output: {$step: b}
";

fn read(overrides: &str) -> Overrides {
    Overrides::load(&Source::yaml("overrides.yaml", overrides)).unwrap_or_else(|wrong| panic!("{overrides}: {wrong}")).0
}

fn applied(overrides: &str) -> Result<Flow, Diagnostics> {
    read(overrides).apply(&flow(FLOW)).map(|(flow, _)| flow)
}

/// A member of a step of the patched flow, in its canonical form.
fn member(patched: &Flow, step: usize, key: &str) -> String {
    let canonical = stepflow_protocol::Value::parse(patched.canonical()).unwrap();
    let step = canonical.field("steps").unwrap().elements()[step].clone();
    step.field(key).map_or("absent".to_owned(), |value| value.as_str().to_owned())
}

fn merged(step: &str, value: &str, key: &str) -> String {
    let patched = applied(&format!("steps: {{{step}: {{$type: merge_patch, value: {value}}}}}"));
    member(&patched.unwrap_or_else(|wrong| panic!("{value}: {wrong}")), usize::from(step == "b"), key)
}

fn patched(step: &str, operations: &str, key: &str) -> String {
    let patched = applied(&format!("steps: {{{step}: {{$type: json_patch, value: {operations}}}}}"));
    member(&patched.unwrap_or_else(|wrong| panic!("{operations}: {wrong}")), usize::from(step == "b"), key)
}

/// A code, a path, and a line and column.
type Wrong = (u16, String, Option<(usize, usize)>);

/// What is wrong, found by reading or by applying.
fn wrong(overrides: &str) -> Vec<Wrong> {
    let source = Source::yaml("overrides.yaml", overrides);
    let wrong = Overrides::load(&source).and_then(|(overrides, _)| overrides.apply(&flow(FLOW))).unwrap_err();
    let place = |one: &Diagnostic| one.position.map(|position| (position.line, position.column));
    wrong.iter().map(|one| (one.code.number(), one.path.clone(), place(one))).collect()
}

#[test]
fn a_merge_patch_changes_members_and_null_removes_them() {
    assert_eq!(merged("a", "{component: /z}", "component"), r#""/z""#);
    assert_eq!(merged("a", "{timeout: null}", "timeout"), "absent");
    assert_eq!(merged("b", "{onError: {maxRetries: 7}}", "onError"), r#"{"action":"retry","maxRetries":7}"#);
    assert_eq!(
        merged("a", "{input: {options: {deep: {drop: null, new: [null]}}}}", "input"),
        r#"{"rows":{"$input":"$.rows"},"options":{"deep":{"keep":1,"new":[null]}}}"#
    );
    assert_eq!(
        merged("a", "{input: {big: 9007199254740993}, metadata: {z: 1, a: {$input: k}}}", "metadata"),
        r#"{"z":1,"a":{"$input":"k"}}"#
    );
}

#[test]
fn a_merge_patch_replaces_an_expression_as_a_whole() {
    let cases = [
        ("{$literal: {x: null}}", r#"{"$literal":{"x":null}}"#),
        ("{$input: q}", r#"{"$input":"$.q"}"#),
        ("{$input: q, $step: null, path: null}", r#"{"$input":"$.q"}"#),
        ("{$input: null}", r#"{"$input":"$"}"#),
        ("{$variable: v, default: null}", r#"{"$variable":"$.v","default":null}"#),
        ("{$step: a}", r#"{"$step":"a"}"#),
        ("{k: 1, gone: null}", r#"{"k":1}"#),
        ("{k: {$coalesce: [null, 1]}}", r#"{"k":{"$coalesce":[null,1]}}"#),
        ("[1]", "[1]"),
        ("7", "7"),
    ];
    for (value, expected) in cases {
        assert_eq!(merged("b", &format!("{{input: {value}}}"), "input"), expected, "{value}");
    }
}

#[test]
fn a_json_patch_applies_its_operations_in_order() {
    let cases = [
        (
            "[{op: replace, path: /input/rows, value: [1, 2]}, {op: add, path: /input/rows/1, value: x}, {op: add, path: /input/rows/-, value: y}]",
            "input",
            r#"{"rows":[1,"x",2,"y"],"options":{"deep":{"keep":1,"drop":2}}}"#,
        ),
        ("[{op: remove, path: /timeout}]", "timeout", "absent"),
        ("[{op: test, path: /timeout, value: 30s}, {op: replace, path: /timeout, value: 5}]", "timeout", "5"),
        (
            "[{op: test, path: /input/options, value: {deep: {drop: 2.0, keep: 1}}}, {op: remove, path: /input/options}]",
            "input",
            r#"{"rows":{"$input":"$.rows"}}"#,
        ),
        (
            "[{op: move, from: /input/options/deep, path: /input/rows}]",
            "input",
            r#"{"rows":{"keep":1,"drop":2},"options":{}}"#,
        ),
        (
            "[{op: copy, from: /input/rows, path: /input/a~1b~0}, {op: remove, path: /input/options}]",
            "input",
            r#"{"rows":{"$input":"$.rows"},"a/b~":{"$input":"$.rows"}}"#,
        ),
        (
            "[{op: replace, path: /input/rows/$input, value: other}, {op: remove, path: /input/options}]",
            "input",
            r#"{"rows":{"$input":"$.other"}}"#,
        ),
        ("[{op: add, path: /input/options, value: null}]", "input", r#"{"rows":{"$input":"$.rows"},"options":null}"#),
    ];
    for (operations, key, expected) in cases {
        assert_eq!(patched("a", operations, key), expected, "{operations}");
    }
}

#[test]
fn every_mistake_has_its_place() {
    let cases = [
        ("steps:\n  aa: {value: {}}\n", 3003, "$.steps.aa", Some((2, 3))),
        ("steps:\n  a: {}\n", 3013, "$.steps.a.value", Some((2, 6))),
        ("steps:\n  a: {$type: merge, value: {}}\n", 3012, "$.steps.a[\"$type\"]", Some((2, 14))),
        ("steps:\n  a: {value: []}\n", 3012, "$.steps.a.value", Some((2, 14))),
        ("steps:\n  a: {$type: json_patch, value: {}}\n", 3012, "$.steps.a.value", Some((2, 33))),
        ("stesp:\n  a: {value: {}}\n", 3013, "$.stesp.value", Some((2, 3))),
        ("steps:\n  a: {value: {timeout: soon}}\n", 3007, "$.steps[0].timeout", Some((2, 24))),
        ("steps:\n  b: {value: {componnet: /x}}\n", 2007, "$.steps[1].componnet", Some((2, 15))),
        ("steps:\n  b: {value: {component: null}}\n", 3013, "$.steps[1].component", Some((2, 3))),
        ("steps:\n  b: {value: {input: {$step: c}}}\n", 3003, "$.steps[1].input", None),
        ("steps:\n  b: {value: {id: a}}\n", 3000, "$.steps[1].id", None),
        (
            "steps:\n  a: {$type: json_patch, value: [{op: ad, path: ''}]}\n",
            3012,
            "$.steps.a.value[0].op",
            Some((2, 39)),
        ),
        (
            "steps:\n  a: {$type: json_patch, value: [{op: add, path: x, value: 1}]}\n",
            3006,
            "$.steps.a.value[0].path",
            Some((2, 50)),
        ),
        (
            "steps:\n  a: {$type: json_patch, value: [{op: add, path: /x}]}\n",
            3013,
            "$.steps.a.value[0].value",
            Some((2, 35)),
        ),
        (
            "steps:\n  a: {$type: json_patch, value: [{op: remove, path: /input/none}]}\n",
            3013,
            "$.steps.a.value[0]",
            Some((2, 34)),
        ),
        (
            "steps:\n  a: {$type: json_patch, value: [{op: remove, path: ''}]}\n",
            3006,
            "$.steps.a.value[0]",
            Some((2, 34)),
        ),
        (
            "steps:\n  a: {$type: json_patch, value: [{op: test, path: /id, value: b}]}\n",
            3012,
            "$.steps.a.value[0]",
            Some((2, 34)),
        ),
        (
            "steps:\n  a: {$type: json_patch, value: [{op: move, from: /input, path: /input/x}]}\n",
            3006,
            "$.steps.a.value[0]",
            Some((2, 34)),
        ),
        (
            "steps:\n  a: {$type: json_patch, value: [{op: add, path: /id/0, value: 1}]}\n",
            3012,
            "$.steps.a.value[0]",
            Some((2, 34)),
        ),
    ];
    for (text, code, path, place) in cases {
        let found = wrong(text);
        assert!(found.contains(&(code, path.to_owned(), place)), "{text}{found:?}");
    }
}

#[test]
fn a_missing_step_gets_the_near_name() {
    let wrong = read("steps: {bb1: {value: {}}, claen: {value: {}}}")
        .apply(&flow("steps: [{id: clean, component: /x}]\noutput: {$step: clean}"))
        .unwrap_err();
    let helps: Vec<Option<&str>> = wrong.iter().map(|one| one.help.as_deref()).collect();
    assert_eq!(helps, [None, Some("did you mean `clean`?")]);
}

#[test]
fn overrides_without_steps_around_them_are_read_with_a_warning() {
    let (overrides, warnings) =
        Overrides::load(&Source::yaml("o", "a: {$type: merge_patch, value: {component: /z}}")).unwrap();
    assert_eq!(
        warnings.iter().map(|one| (one.code.number(), one.position.unwrap().column)).collect::<Vec<_>>(),
        [(1005, 1)]
    );
    let (patched, _) = overrides.apply(&flow(FLOW)).unwrap();
    assert_eq!(member(&patched, 0, "component"), r#""/z""#);
}

#[test]
fn nothing_overrides_nothing() {
    for text in ["null", "{}", "steps: {}", "steps: null"] {
        let overrides = read(text);
        assert!(overrides.is_empty(), "{text}");
        assert_eq!(overrides.apply(&flow(FLOW)).unwrap().0, *flow(FLOW), "{text}");
    }
}

#[test]
fn a_patch_that_copies_its_copies_is_refused() {
    let grow = "{op: copy, from: /input, path: /input/x}, {op: copy, from: /input/x, path: /input/y}, ".repeat(60);
    let text = format!("steps: {{a: {{$type: json_patch, value: [{grow}]}}}}");
    assert_eq!(wrong(&text)[0].0, 3014);
}

#[test]
fn a_plan_with_overrides_keeps_the_id_of_its_flow() {
    let original = Arc::new(Plan::compile(flow(FLOW)).unwrap());
    let plan = original.with_overrides(&value(r#"{"steps":{"a":{"value":{"component":"/z"}}}}"#)).unwrap();
    assert_eq!((plan.flow_id, plan.steps[0].component.as_str()), (original.flow_id, "/z"));
}

#[test]
fn overrides_are_of_the_flow_as_it_is_written_and_not_of_one_with_others() {
    let original = Arc::new(Plan::compile(flow(FLOW)).unwrap());
    let first = Arc::new(original.with_overrides(&value(r#"{"steps":{"a":{"value":{"component":"/z"}}}}"#)).unwrap());
    let second = first.with_overrides(&value(r#"{"steps":{"a":{"value":{"mustExecute":true}}}}"#)).unwrap();
    assert_eq!(second.steps[0].component, original.steps[0].component);
    assert_eq!(first.without_overrides().flow, original.flow);
}

#[test]
fn overrides_that_do_not_fit_make_no_plan() {
    let original = Arc::new(Plan::compile(flow(FLOW)).unwrap());
    assert!(original.with_overrides(&value(r#"{"steps":{"nowhere":{"value":{}}}}"#)).is_err());
}
