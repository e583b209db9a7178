//! The values of expressions, what they need next, and what must be in memory.

mod common;

use std::collections::HashMap;

use common::{Given, output, value};
use stepflow_flow::{Evaluated, Place, StepState};
use stepflow_protocol::{ErrorKind, FlowError, Value};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

fn evaluate(expression: &str, given: &Given) -> Evaluated {
    output(expression).output.evaluate(given)
}

fn is(text: &str) -> Evaluated {
    Evaluated::Value(value(text))
}

fn broken() -> FlowError {
    FlowError { code: 7, kind: ErrorKind::ComponentFailed, message: "boom".to_owned(), data: Some(value("{\"x\":1}")) }
}

#[test]
fn values_are_built_as_written() {
    let given = || {
        Given::input(r#"{"q":"x","n":{"deep":[1,2.50]},"nothing":null}"#)
            .step(A, r#"{"rows":[{"id":1}],"empty":null}"#)
            .step(B, "null")
            .variable("lang", r#"{"code":"de"}"#)
    };
    let cases = [
        ("null", "null"),
        ("{b: 1, a: [x, 1.50]}", r#"{"b":1,"a":["x",1.5]}"#),
        ("{$literal: {$step: a, x: {$literal: 1}}}", r#"{"$step":"a","x":{"$literal":1}}"#),
        ("{$input: $}", r#"{"q":"x","n":{"deep":[1,2.50]},"nothing":null}"#),
        ("{$input: null}", r#"{"q":"x","n":{"deep":[1,2.50]},"nothing":null}"#),
        ("{$input: q}", r#""x""#),
        ("{$input: '$.n.deep[1]'}", "2.50"),
        ("{$input: nothing}", "null"),
        ("{$step: a, path: '$.rows[0].id'}", "1"),
        ("{$step: a, path: empty}", "null"),
        ("{$step: b}", "null"),
        ("{$step: b, path: $.any.where}", "null"),
        ("{$variable: lang}", r#"{"code":"de"}"#),
        ("{$variable: $.lang.code, default: en}", r#""de""#),
        ("{$variable: $.lang.missing, default: {$step: a, path: '$.rows[0].id'}}", "1"),
        ("{$variable: other, default: {$input: q}}", r#""x""#),
        ("{$variable: other, default: null}", "null"),
        ("{$if: {$input: q}, then: 1, else: 2}", "1"),
        ("{$if: null, then: 1}", "null"),
        ("{$if: {$input: missing}, then: 1, else: 2}", "2"),
        ("{$if: {$variable: other}, then: 1, else: 2}", "2"),
        ("{$if: true, then: {$input: q}, else: {$input: missing}}", r#""x""#),
        ("{$coalesce: []}", "null"),
        ("{$coalesce: [null, {$input: nothing}, {$step: b, path: x}, 3, {$input: missing}]}", "3"),
        ("{$coalesce: [null, {$step: b}]}", "null"),
        ("{$coalesce: [false, 1]}", "false"),
        ("{k: {$step: b}, l: [{$input: q}, null], $blob: y}", r#"{"k":null,"l":["x",null],"$blob":"y"}"#),
    ];
    for (expression, expected) in cases {
        assert_eq!(evaluate(expression, &given()), is(expected), "{expression}");
    }
}

#[test]
fn only_null_false_and_failure_are_untrue() {
    for (condition, expected) in
        [("null", "2"), ("false", "2"), ("0", "1"), ("''", "1"), ("[]", "1"), ("{}", "1"), ("true", "1")]
    {
        let given = Given::input(r#"{"q":1}"#);
        assert_eq!(evaluate(&format!("{{$if: {condition}, then: 1, else: 2}}"), &given), is(expected), "{condition}");
    }
    let given = Given::input("{}").state(A, StepState::Failed(broken()));
    assert_eq!(evaluate("{$if: {$step: a}, then: 1, else: 2}", &given), is("2"));
}

#[test]
fn the_first_reserved_key_decides() {
    let given = Given::input("1").step(A, "2");
    assert_eq!(evaluate("{$input: $, $step: a}", &given), is("2"));
    assert_eq!(evaluate("{$step: a, $literal: 3}", &given), is("3"));
    assert_eq!(evaluate("{$coalesce: [4], $if: true, then: 5}", &given), is("5"));
}

#[test]
fn paths_that_find_nothing_fail_with_what_is_there() {
    let cases = [
        ("{$input: quer}", "the input has nothing at `$.quer`: `$` has only `q`"),
        ("{$input: $.q.x}", "the input has nothing at `$.q.x`: `$.q` is of type string"),
        ("{$step: a, path: '$.list[2]'}", "the result of step `a` has nothing at `$.list[2]`: `$.list` has 1 elements"),
        ("{$step: a, path: $.none.x}", "the result of step `a` has nothing at `$.none.x`: `$.none` is of type null"),
        ("{$step: a, path: '$[0]'}", "the result of step `a` has nothing at `$[0]`: `$` is of type object"),
        ("{$variable: $.v.x}", "variable `v` has nothing at `$.x`: `$` is an empty object"),
        ("{$variable: nope}", "variable `nope` was not given and has no default"),
    ];
    for (expression, message) in cases {
        let given = Given::input(r#"{"q":"x"}"#).step(A, r#"{"list":[1],"none":null}"#).variable("v", "{}");
        let Evaluated::Failed { error, step: None } = evaluate(expression, &given) else { panic!("{expression}") };
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::ExpressionFailure, message));
    }
}

#[test]
fn a_path_into_a_null_input_fails() {
    let given = Given::input("null");
    assert!(matches!(evaluate("{$input: x}", &given), Evaluated::Failed { .. }));
    assert_eq!(evaluate("{$input: $}", &given), is("null"));
}

#[test]
fn a_failed_step_hands_its_error_on_unchanged() {
    let given = || Given::input("{}").state(B, StepState::Failed(broken())).step(A, "1");
    for expression in
        ["{$step: b}", "{$step: b, path: x}", "[{$step: a}, {$step: b}, {$input: x}]", "{$coalesce: [{$step: b}, 1]}"]
    {
        assert_eq!(
            evaluate(expression, &given()),
            Evaluated::Failed { error: broken(), step: Some(B) },
            "{expression}"
        );
    }
}

#[test]
fn what_is_pending_is_what_is_needed_next() {
    let cases: [(&str, &[usize]); 12] = [
        ("{$step: a}", &[A]),
        ("[{$step: c}, {$step: a}, {x: {$step: c, path: y}}]", &[A, C]),
        ("{$if: {$step: a}, then: {$step: b}, else: {$step: c}}", &[A]),
        ("{$if: true, then: {$step: b}, else: {$step: c}}", &[B]),
        ("{$if: {$input: missing}, then: {$step: b}, else: {$step: c}}", &[C]),
        ("{$coalesce: [{$step: a}, {$step: b}]}", &[A]),
        ("{$coalesce: [null, {$step: b}]}", &[B]),
        ("{$variable: none, default: {$step: a}}", &[A]),
        ("{$variable: $.v.none, default: {$step: a}}", &[A]),
        // A failure beside it does not hide the steps that must still run.
        ("[{$input: missing}, {$step: a}]", &[A]),
        ("{$if: [{$step: a}, {$if: {$step: b}, then: {$step: c}}], then: 1}", &[A, B]),
        ("[{$if: {$step: a}, then: 1}, {$coalesce: [null, {$step: c}]}]", &[A, C]),
    ];
    for (expression, pending) in cases {
        let given = Given::input("{}").variable("v", "{}");
        assert_eq!(evaluate(expression, &given), Evaluated::Pending(pending.to_vec()), "{expression}");
    }
}

#[test]
fn needs_grow_as_steps_finish() {
    let choice = "{$if: {$step: a}, then: {$step: b}, else: {$coalesce: [{$step: c}, {$step: b}]}}";
    assert_eq!(evaluate(choice, &Given::input("1").step(A, "true")), Evaluated::Pending(vec![B]));
    assert_eq!(evaluate(choice, &Given::input("1").step(A, "null")), Evaluated::Pending(vec![C]));
    assert_eq!(evaluate(choice, &Given::input("1").step(A, "null").step(C, "null")), Evaluated::Pending(vec![B]));
    assert_eq!(evaluate(choice, &Given::input("1").step(A, "null").step(C, "3")), is("3"));
}

#[test]
fn a_given_variable_makes_its_default_needless() {
    let expression = "{$variable: v, default: {$step: a}}";
    assert_eq!(evaluate(expression, &Given::input("1").variable("v", "null")), is("null"));
    assert_eq!(
        evaluate(expression, &Given::input("1").away("v")),
        Evaluated::Missing(vec![Place::Variable("v".to_owned())])
    );
}

#[test]
fn a_schema_default_goes_before_the_inline_one() {
    let flow = |variables: &str, expression: &str| {
        common::plan(&format!(
            "schemas: {{properties: {{variables: {{properties: {{{variables}}}, required: [r]}}}}}}\noutput: {expression}"
        ))
    };
    let cases = [
        ("v: {type: string, default: s}", "{$variable: v, default: i}", r#""s""#),
        ("v: {type: string}", "{$variable: v, default: i}", r#""""#),
        ("v: {type: integer}", "{$variable: v}", "0"),
        ("v: {type: boolean}", "{$variable: v}", "false"),
        ("v: {type: [string, 'null']}", "{$variable: v}", "null"),
        ("v: {type: object}", "{$variable: v, default: i}", r#""i""#),
        ("r: {type: string}", "{$variable: r, default: i}", r#""i""#),
        ("v: {default: {k: 1}}", "{$variable: $.v.k}", "1"),
        ("v: {default: {k: 1}}", "{$variable: $.v.z, default: 2}", "2"),
        ("v: {default: 12345678901234567890123}", "{$variable: v}", "12345678901234567890123"),
    ];
    for (variables, expression, expected) in cases {
        let evaluated = flow(variables, expression).output.evaluate(&Given::input("null"));
        assert_eq!(evaluated, is(expected), "{variables} {expression}");
    }
}

#[test]
fn values_that_are_away_are_asked_for() {
    let away = || Given { input: None, steps: HashMap::from([(A, StepState::Away)]), ..Given::default() }.away("v");
    let all = [Place::Input, Place::Step(A), Place::Variable("v".to_owned())];
    assert_eq!(
        evaluate("[{$variable: v}, {$step: a, path: x}, {$input: $}, {$step: a}]", &away()),
        Evaluated::Missing(all.to_vec())
    );
}

#[test]
fn a_value_that_decides_is_asked_for_before_steps_are_pending() {
    let away = || Given::default().state(A, StepState::Away);
    // Whether `c` is needed depends on `a`; `b` is pending in any case.
    let expression = "[{$if: {$step: a}, then: {$step: c}}, {$step: b}]";
    assert_eq!(evaluate(expression, &away()), Evaluated::Missing(vec![Place::Step(A)]));
    assert_eq!(evaluate(expression, &Given::default().step(A, "1")), Evaluated::Pending(vec![B, C]));
    // A value that is only a part of the result is loaded when the steps are finished.
    assert_eq!(evaluate("[{$step: a}, {$step: b}]", &away()), Evaluated::Pending(vec![B]));
}

#[test]
fn what_fails_does_not_depend_on_what_is_in_memory() {
    let expression = "[{$step: a, path: x}, {$step: b}]";
    let failed = || Given::input("1").state(B, StepState::Failed(broken()));
    assert_eq!(evaluate(expression, &failed().state(A, StepState::Away)), Evaluated::Missing(vec![Place::Step(A)]));
    let Evaluated::Failed { step: None, .. } = evaluate(expression, &failed().step(A, "{}")) else { panic!() };
    assert_eq!(
        evaluate("[{$step: b}, {$step: a}]", &failed().state(A, StepState::Away)),
        Evaluated::Failed { error: broken(), step: Some(B) }
    );
}

#[test]
fn a_reference_returns_the_bytes_as_they_came() {
    let spelled = r#"{"a" : 1.00, "b":1e2,"c":3}"#;
    let given = Given::input(spelled);
    let Evaluated::Value(found) = evaluate("{$input: $}", &given) else { panic!() };
    assert_eq!(found.as_str(), spelled);
    assert_eq!(found, given.input.unwrap());
    assert_eq!(Value::array([found]).as_str(), format!("[{spelled}]"));
}

fn failure(expression: &str, given: &Given) -> FlowError {
    match evaluate(expression, given) {
        Evaluated::Failed { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_would_be_nested_too_deep_fails_with_its_place() {
    let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
    assert!(matches!(evaluate("{a: {$input: $}}", &Given::input(&deep)), Evaluated::Value(_)));
    let error = failure("{a: 1, b: [0, {$input: $}]}", &Given::input(&deep));
    assert_eq!(error.kind, ErrorKind::ExpressionFailure);
    assert_eq!(error.message, "the value would be nested more than 128 deep, at `$.b[1]`");
}

#[test]
fn what_would_be_too_large_fails_and_is_not_made() {
    let large = Given::input(&format!("\"{}\"", "x".repeat(1 << 20)));
    let of = |times: usize| format!("[{}]", vec!["{$input: $}"; times].join(", "));
    assert!(matches!(evaluate(&of(3), &large), Evaluated::Value(_)));
    let error = failure(&of(300), &large);
    assert_eq!(error.kind, ErrorKind::ExpressionFailure);
    let expected = "the value would have 67108992 bytes or more, and a flow may build 64 MiB: keep its parts in blobs";
    assert_eq!(error.message, expected);
}

#[test]
fn what_would_be_copied_too_often_fails_and_is_not_made() {
    let large = Given::input(&format!("\"{}\"", "x".repeat(8 << 20)));
    let nested = |depth: usize| format!("{}{{$input: $}}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(matches!(evaluate(&nested(31), &large), Evaluated::Value(_)));
    let error = failure(&nested(33), &large);
    assert_eq!(error.kind, ErrorKind::ExpressionFailure);
    assert!(error.message.starts_with("the value is nested too deep for its size"), "{}", error.message);
}
