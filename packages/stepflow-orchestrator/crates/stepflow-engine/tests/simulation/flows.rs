//! Random flows whose components behave in known ways.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// A flow with its inputs and the choices that order its completions.
#[derive(Debug, Clone)]
pub struct Case {
    pub flow: Json,
    pub inputs: Vec<Json>,
    pub choices: Vec<usize>,
    pub limit: u32,
}

pub fn case() -> impl Strategy<Value = Case> {
    let steps = (1_usize..7).prop_flat_map(|count| {
        let steps: Vec<_> = (0..count).map(step).collect();
        (steps, expression(count), any::<prop::sample::Index>())
    });
    let inputs = prop::collection::vec(prop_oneof![Just(json!({"a": 1, "b": {"c": null}})), Just(json!(null))], 0..4);
    (steps, inputs, prop::collection::vec(0_usize..10, 1..40), 1_u32..5).prop_map(
        |((mut steps, output, turn), inputs, choices, limit)| {
            // Steps may refer to later ones.
            let turn = turn.index(steps.len());
            steps.rotate_left(turn);
            Case { flow: json!({"name": "random", "steps": steps, "output": output}), inputs, choices, limit }
        },
    )
}

fn step(index: usize) -> impl Strategy<Value = Json> + use<> {
    let component = prop_oneof![
        3 => Just(("/t/echo", None)),
        3 => Just(("/t/wrap", None)),
        1 => Just(("/t/null", None)),
        1 => Just(("/t/fail", None)),
        1 => Just(("/t/lost", None)),
        1 => Just(("/t/nowhere", None)),
        1 => Just(("/t/twice", Some(json!({"action": "retry", "maxRetries": 2})))),
        1 => prop_oneof![Just(("/t/calls", None)), Just(("/t/calls3", None))],
        1 => Just(("/t/calls_twice", Some(json!({"action": "retry", "maxRetries": 2})))),
    ];
    let plain = (component, expression(index), handling(), prop::bool::weighted(0.15)).prop_map(
        move |((component, own), input, handling, must)| {
            let on_error = own.unwrap_or(handling);
            json!({"id": format!("s{index}"), "component": component, "input": input, "onError": on_error, "mustExecute": must})
        },
    );
    let sleep = (expression(index), prop::bool::weighted(0.3), handling()).prop_map(move |(passed, late, on_error)| {
        let input = json!({"duration_ms": 5, "passthrough": passed});
        let timeout = if late { json!("2ms") } else { json!(null) };
        json!({"id": format!("s{index}"), "component": "/t/sleep", "input": input, "timeout": timeout, "onError": on_error})
    });
    prop_oneof![8 => plain, 1 => map(index), 1 => impatient_map(index), 1 => iterate(index), 1 => sleep]
}

fn handling() -> impl Strategy<Value = Json> {
    prop_oneof![
        4 => Just(json!(null)),
        1 => Just(json!({"action": "useDefault", "defaultValue": {"d": 1}})),
        1 => Just(json!({"action": "useDefault"})),
        1 => Just(json!({"action": "retry", "maxRetries": 1})),
        1 => Just(json!({"action": "retry", "maxRetries": 1, "exhausted": {"action": "useDefault", "defaultValue": 3}})),
    ]
}

fn map(index: usize) -> impl Strategy<Value = Json> + use<> {
    let items = prop::collection::vec(expression(index), 0..3);
    let flow =
        prop_oneof![Just(sub_flow("/t/wrap")), Just(sub_flow("/t/lost")), Just(nested_flow(sub_flow("/t/echo")))];
    (items, flow).prop_map(move |(items, flow)| {
        let input = json!({"workflow": {"$literal": flow}, "items": items, "max_concurrency": 1});
        json!({"id": format!("s{index}"), "component": "/t/map", "input": input})
    })
}

/// One that fails with its items, or that gives up items that never end.
fn impatient_map(index: usize) -> impl Strategy<Value = Json> + use<> {
    let items = prop::collection::vec(expression(index), 0..3);
    // Only steps that never end have a timeout. Others may end before or after it.
    let flow = prop_oneof![
        Just((sub_flow("/t/fail"), json!(null))),
        Just((sub_flow("/t/stuck"), json!(60))),
        Just((nested_flow(sub_flow("/t/stuck")), json!(60))),
    ];
    (items, flow, handling()).prop_map(move |(items, (flow, timeout), on_error)| {
        let input = json!({"workflow": {"$literal": flow}, "items": items, "on_item_error": "fail"});
        json!({"id": format!("s{index}"), "component": "/t/map", "input": input, "timeout": timeout, "onError": on_error})
    })
}

/// One that unpacks its input: every round removes a `next`.
fn iterate(index: usize) -> impl Strategy<Value = Json> + use<> {
    (expression(index), 0_usize..4, any::<bool>(), handling()).prop_map(move |(last, rounds, ends, on_error)| {
        let last = if ends { json!({"result": last}) } else { json!([last]) };
        let first = (0..rounds).fold(last, |inside, _| json!({"next": inside}));
        let flow =
            json!({"steps": [{"id": "a", "component": "/t/echo", "input": {"$input": "$"}}], "output": {"$step": "a"}});
        let input = json!({"flow": {"$literal": flow}, "initial_input": first});
        json!({"id": format!("s{index}"), "component": "/t/iterate", "input": input, "onError": on_error})
    })
}

/// A flow that fails when the component does, with a step beside it that may have to wait for a slot.
pub fn sub_flow(component: &str) -> Json {
    json!({"name": "sub", "steps": [
        {"id": "a", "component": component, "input": {"$input": "$"}},
        {"id": "b", "component": "/t/wrap", "input": [{"$step": "a"}, 1]},
        {"id": "c", "component": "/t/echo", "input": 2}],
        "output": [{"$step": "b"}, {"$step": "c"}]})
}

/// One that runs another.
fn nested_flow(inside: Json) -> Json {
    let input = json!({"workflow": {"$literal": inside}, "items": [{"$input": "$"}, 2]});
    json!({"name": "outer", "steps": [{"id": "m", "component": "/t/map", "input": input}], "output": {"$step": "m"}})
}

/// An expression over the first `steps` steps.
fn expression(steps: usize) -> BoxedStrategy<Json> {
    let path = prop_oneof![Just(json!("$")), Just(json!("$.got")), Just(json!("$.d")), Just(json!("$.got.a"))];
    let leaf = prop_oneof![
        2 => prop_oneof![Just(json!(null)), Just(json!(false)), Just(json!(7)), Just(json!("text"))],
        1 => Just(json!({"$literal": {"$step": "s0"}})),
        2 => prop_oneof![Just("$"), Just("$.a"), Just("$.b.c"), Just("$.missing")].prop_map(|path| json!({"$input": path})),
        6 => (0..steps.max(1), path).prop_map(move |(step, path)| {
            if steps == 0 { json!(0) } else { json!({"$step": format!("s{step}"), "path": path}) }
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), prop::option::of(inner.clone())).prop_map(|(condition, then, otherwise)| {
                let mut choice = json!({"$if": condition, "then": then});
                if let Some(otherwise) = otherwise {
                    choice["else"] = otherwise;
                }
                choice
            }),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|options| json!({"$coalesce": options})),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            (inner.clone(), inner).prop_map(|(x, y)| json!({"x": x, "y": y})),
        ]
    })
    .boxed()
}
