//! Plans: indices of steps, error handling, durations, and the checks of inputs and variables.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{flow, plan, value};
use stepflow_flow::{Backoff, Exhausted, OnError, Plan, RetryPolicy, Step};
use stepflow_protocol::ErrorKind;

#[test]
fn a_plan_knows_its_steps_by_id_and_place() {
    let plan = plan(
        "steps: [{id: a, component: /x}, {id: b, component: /y/z, mustExecute: true, timeout: 1m30s}]\noutput: 1\ntimeout: 2h\n",
    );
    assert_eq!((plan.step_index("b"), plan.step_index("c")), (Some(1), None));
    assert_eq!(plan.must_execute().collect::<Vec<_>>(), [1]);
    assert_eq!(plan.steps[1].component, "/y/z");
    assert_eq!(plan.steps[1].timeout, Some(Duration::from_secs(90)));
    assert_eq!((plan.steps[0].timeout, plan.timeout), (None, Some(Duration::from_secs(7_200))));
    assert_eq!(plan.flow_id, plan.flow.id());
    assert_eq!(plan.output.literal(), Some(&value("1")));
}

#[test]
fn error_handling_is_read_with_its_defaults() {
    let handling =
        |text: &str| plan(&format!("steps: [{{id: a, component: /x, onError: {text}}}]")).steps[0].on_error.clone();
    assert_eq!(plan("steps: [{id: a, component: /x}]").steps[0].on_error, OnError::Fail);
    assert_eq!(handling("{action: fail}"), OnError::Fail);
    assert_eq!(handling("{action: useDefault}"), OnError::UseDefault(value("null")));
    // A constant, even if it looks like an expression.
    assert_eq!(
        handling("{action: useDefault, defaultValue: {$step: a}}"),
        OnError::UseDefault(value(r#"{"$step":"a"}"#))
    );
    assert_eq!(handling("{action: retry, maxRetries: null}"), OnError::Retry(RetryPolicy::default()));
    assert_eq!(
        handling(
            "{action: retry, maxRetries: 5, backoff: {type: exponential, initial: 250ms, factor: 3, jitter: false}, retryOn: [TIMEOUT], exhausted: {action: useDefault, defaultValue: 0}}"
        ),
        OnError::Retry(RetryPolicy {
            max_retries: 5,
            backoff: Some(Backoff::Exponential {
                initial: Duration::from_millis(250),
                max: Duration::from_secs(10),
                factor: 3.0,
                jitter: false,
            }),
            retry_on: vec![ErrorKind::Timeout],
            exhausted: Exhausted::UseDefault(value("0")),
        })
    );
}

#[test]
fn published_backoff_spellings_are_read() {
    let cases = [
        (
            "{type: fibonacci, minDelayMs: 500, maxDelayMs: 4000}",
            Backoff::Fibonacci { initial: Duration::from_millis(500), max: Duration::from_secs(4) },
        ),
        ("{type: constant, delayMs: 20}", Backoff::Constant { delay: Duration::from_millis(20) }),
        ("{type: constant, delay: 2}", Backoff::Constant { delay: Duration::from_secs(2) }),
        ("{type: exponential}", Backoff::default()),
    ];
    for (text, expected) in cases {
        let plan = plan(&format!("steps: [{{id: a, component: /x, onError: {{action: retry, backoff: {text}}}}}]"));
        let OnError::Retry(policy) = &plan.steps[0].on_error else { panic!() };
        assert_eq!(policy.backoff.as_ref(), Some(&expected), "{text}");
    }
}

#[test]
fn retries_cover_the_kinds_that_another_attempt_may_mend() {
    let policy = RetryPolicy::default();
    assert!(policy.covers(ErrorKind::ComponentFailed) && policy.covers(ErrorKind::Unreachable));
    assert!(!policy.covers(ErrorKind::InvalidInput) && !policy.covers(ErrorKind::Cancelled));
}

#[test]
fn backoffs_grow_to_their_limit() {
    let seconds = |backoff: &Backoff| (1..=8).map(|retry| backoff.delay(retry, 0.0).as_secs()).collect::<Vec<_>>();
    let (initial, max) = (Duration::from_secs(1), Duration::from_secs(10));
    assert_eq!(seconds(&Backoff::Fibonacci { initial, max }), [1, 1, 2, 3, 5, 8, 10, 10]);
    assert_eq!(
        seconds(&Backoff::Exponential { initial, max, factor: 2.0, jitter: false }),
        [1, 2, 4, 8, 10, 10, 10, 10]
    );
    assert_eq!(seconds(&Backoff::Constant { delay: max }), [10; 8]);
}

#[test]
fn jitter_draws_between_half_and_all_of_the_delay() {
    let backoff = Backoff::default();
    assert_eq!(backoff.delay(2, 0.0), Duration::from_secs(1));
    assert_eq!(backoff.delay(2, 0.5), Duration::from_millis(1_500));
    assert_eq!(backoff.delay(2, 1.0), Duration::from_secs(2));
}

#[test]
fn backoffs_hold_for_any_number_of_retries() {
    for retry in [0, 91, 1_000, u32::MAX] {
        assert!(Backoff::default().delay(retry, 1.0) <= Duration::from_secs(10));
        let fibonacci = Backoff::Fibonacci { initial: Duration::from_nanos(1), max: Duration::from_secs(10) };
        assert!(fibonacci.delay(retry, 1.0) <= Duration::from_secs(10));
    }
}

#[test]
fn durations_are_texts_with_units_or_seconds() {
    let read = |text: &str| common::yaml(&format!("timeout: {text}")).flow.and_then(|flow| flow.timeout.clone());
    let cases = [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("30d", 2_592_000_000),
        ("1d2h3m4s5ms", 93_784_005),
        ("2", 2_000),
        ("0.25", 250),
        ("0", 0),
    ];
    for (text, milliseconds) in cases {
        assert_eq!(read(text).map(|span| span.duration()), Some(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in [
        "''",
        "5 minutes",
        "1.5h",
        "30m1h",
        "1s1s",
        "-1s",
        "-1",
        "1w",
        "s",
        "1e30",
        "99999999999999999999d",
        "200000d",
        "true",
        "[1s]",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn inputs_are_checked_against_the_flows_schema() {
    let plan = plan(
        "schemas: {properties: {input: {type: object, required: [q], additionalProperties: false, properties: {q: {type: string, minLength: 2}, n: {type: [integer, 'null']}, 'a/b': {enum: [1, 2]}}}}}",
    );
    assert_eq!(plan.check_input(&value(r#"{"q":"xy","n":12345678901234567890}"#)), Ok(()));
    let cases = [
        ("[]", "", "object", "array"),
        ("{}", "/q", "a value (it is required)", "nothing"),
        (r#"{"q":7}"#, "/q", "string", "number"),
        (r#"{"q":"xy","n":"x"}"#, "/n", "null or integer", "string"),
        (r#"{"q":"xy","a/b":3}"#, "/a~1b", "one of [1,2]", "number"),
        (r#"{"q":"xy","z":1}"#, "", "only the members that the schema names", "`z`"),
        (r#"{"q":"x"}"#, "/q", "minLength", "string"),
    ];
    for (input, pointer, expected, found) in cases {
        let misfits = plan.check_input(&value(input)).unwrap_err();
        let first = &misfits[0];
        assert_eq!(
            (first.pointer.as_str(), first.expected.as_str(), first.found.as_str()),
            (pointer, expected, found),
            "{input}"
        );
    }
    assert_eq!(plan.check_input(&value(r#"{"n":"x"}"#)).unwrap_err().len(), 2);
}

#[test]
fn a_misfit_never_shows_the_value() {
    let plan = plan(
        "schemas: {properties: {input: {properties: {k: {pattern: '^a', maxLength: 3}, l: {const: x}, m: {multipleOf: 7}}}}}",
    );
    for misfit in plan.check_input(&value(r#"{"k":"hunter2","l":"hunter2","m":424243}"#)).unwrap_err() {
        assert!(!misfit.message.contains("hunter2") && !misfit.message.contains("424243"), "{misfit}");
    }
}

#[test]
fn required_variables_are_enforced_unless_they_have_a_default() {
    let plan = plan(
        "schemas: {properties: {variables: {type: object, required: [key, lang], properties: {key: {type: string}, lang: {type: string, default: en}}}}}",
    );
    assert_eq!(plan.check_variables(&value(r#"{"key":"k"}"#)), Ok(()));
    let misfits = plan.check_variables(&value("{}")).unwrap_err();
    assert_eq!(misfits.iter().map(|one| one.pointer.as_str()).collect::<Vec<_>>(), ["/key"]);
    assert_eq!(plan.check_variables(&value(r#"{"key":1}"#)).unwrap_err()[0].pointer, "/key");
}

#[test]
fn a_flow_without_schemas_takes_anything() {
    assert_eq!(plan("output: 1").check_input(&value("[1]")), Ok(()));
    assert_eq!(plan("output: 1").check_variables(&value("{\"x\":1}")), Ok(()));
}

#[test]
fn a_flow_that_was_built_wrong_is_no_plan() {
    let mut flow = (*flow("steps: [{id: a, component: /x}]\noutput: {$step: a}")).clone();
    let second = Step { id: "a".to_owned(), ..flow.steps[0].clone() };
    flow.steps.push(second);
    let wrong = Plan::compile(Arc::new(flow)).unwrap_err();
    assert_eq!(wrong.iter().map(|one| one.code.number()).collect::<Vec<_>>(), [3000]);
}

#[test]
fn a_chain_of_ten_thousand_steps_is_read_and_planned_without_recursion() {
    let mut text = String::from("steps:\n- {id: s0, component: /x}\n");
    for step in 1..10_000 {
        text.push_str(&format!("- {{id: s{step}, component: /x, input: {{$step: s{}}}}}\n", step - 1));
    }
    text.push_str("output: {$step: s9999}\n");
    assert_eq!(plan(&text).steps.len(), 10_000);
    let looped = text.replace("- {id: s0, component: /x}", "- {id: s0, component: /x, input: {$step: s9999}}");
    assert_eq!(common::yaml(&looped).diagnostics.num_fatal(), 1);
}
