//! Random flows, and the texts that they are read from.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// A flow, what it is given, and how it is written.
#[derive(Debug, Clone)]
pub struct Case {
    pub flow: Json,
    pub inputs: Vec<Json>,
    pub variables: Json,
    pub limit: u32,
    pub yaml: bool,
}

impl Case {
    /// The flow as JSON, or as YAML in blocks.
    pub fn text(&self) -> String {
        if !self.yaml {
            return self.flow.to_string();
        }
        let mut text = String::new();
        block(&self.flow, 0, &mut text);
        text
    }
}

fn block(value: &Json, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                text.push_str(&format!("\n{indent}{}:", Json::from(key.as_str())));
                block(member, depth + 1, text);
            }
        }
        Json::Array(elements) if !elements.is_empty() => {
            for element in elements {
                text.push_str(&format!("\n{indent}-"));
                block(element, depth + 1, text);
            }
        }
        scalar => text.push_str(&format!(" {scalar}")),
    }
}

pub fn case() -> impl Strategy<Value = Case> {
    let steps = (1_usize..7).prop_flat_map(|count| {
        let steps: Vec<_> = (0..count).map(step).collect();
        (steps, expression(count), 0..count)
    });
    let input = prop_oneof![
        Just(json!(null)),
        Just(json!({"a": [1, {"b": "ä \"q\"\n"}], "flag": false})),
        Just(json!({"a": 9_007_199_254_740_993_u64, "flag": true})),
    ];
    let variables = prop_oneof![Just(json!({})), Just(json!({"v": {"x": 1}})), Just(json!({"v": null, "w": "given"}))];
    let inputs = prop::collection::vec(input, 0..3);
    (steps, inputs, variables, 1_u32..4, any::<bool>()).prop_map(|((mut steps, output, turn), inputs, variables, limit, yaml)| {
        // Steps may refer to later ones.
        steps.rotate_left(turn);
        let schemas = json!({"properties": {"variables": {"properties": {"v": {}, "w": {"default": "declared"}, "n": {"type": "number"}}}}});
        let flow = json!({"name": "random", "schemas": schemas, "steps": steps, "output": output});
        Case { flow, inputs, variables, limit, yaml }
    })
}

fn step(index: usize) -> impl Strategy<Value = Json> + use<> {
    let component = prop_oneof![Just("/m/wrap"), Just("/m/null"), Just("/m/fail"), Just("/m/picky"), Just("/m/busy")];
    let plain =
        (component, expression(index)).prop_map(|(component, input)| json!({"component": component, "input": input}));
    let map = prop::collection::vec(expression(index), 0..3).prop_map(|items| {
        let workflow = json!({"steps": [{"id": "n", "component": "/m/picky", "input": {"$input": "$"}}], "output": {"$step": "n"}});
        let input = json!({"workflow": {"$literal": workflow}, "items": items, "on_item_error": "fail"});
        json!({"component": "/builtin/map", "input": input})
    });
    let again = |more: Json| {
        let mut handling = json!({"action": "retry", "maxRetries": 2, "backoff": {"type": "constant", "delay": 0}});
        handling.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        handling
    };
    let handling = prop_oneof![
        3 => Just(json!(null)),
        1 => Just(json!({"action": "useDefault"})),
        1 => Just(json!({"action": "useDefault", "defaultValue": {"d": [1]}})),
        1 => Just(again(json!({}))),
        1 => Just(again(json!({"retryOn": ["RESOURCE_UNAVAILABLE"]}))),
        1 => Just(again(json!({"exhausted": {"action": "useDefault", "defaultValue": 7}}))),
    ];
    (prop_oneof![6 => plain, 1 => map], handling, prop::bool::weighted(0.15)).prop_map(move |(step, handling, must)| {
        let Json::Object(members) = step else { unreachable!() };
        let mut step = json!({"id": format!("s{index}"), "onError": handling, "mustExecute": must});
        step.as_object_mut().unwrap().extend(members);
        step
    })
}

/// An expression over the first `steps` steps.
fn expression(steps: usize) -> BoxedStrategy<Json> {
    let scalar =
        prop_oneof![Just(json!(null)), Just(json!(false)), Just(json!(0)), Just(json!("on")), Just(json!(1.5))];
    let input = prop_oneof![Just("$"), Just("$.a"), Just("$.a[1].b"), Just("$[\"flag\"]"), Just("a")];
    let variable = prop_oneof![Just("v"), Just("$.v.x"), Just("w"), Just("n")];
    let path = prop_oneof![Just("$"), Just("$.got"), Just("$.got[0]"), Just("$.d[0]"), Just("$.missing")];
    let leaf = prop_oneof![
        2 => scalar,
        1 => Just(json!({"$literal": {"$step": "s0"}})),
        2 => input.prop_map(|path| json!({"$input": path})),
        1 => variable.clone().prop_map(|path| json!({"$variable": path})),
        1 => variable.prop_map(move |path| match steps {
            0 => json!({"$variable": path, "default": 3}),
            _ => json!({"$variable": path, "default": {"$step": format!("s{}", steps - 1)}}),
        }),
        6 => (0..steps.max(1), path).prop_map(move |(step, path)| match steps {
            0 => json!(true),
            _ => json!({"$step": format!("s{step}"), "path": path}),
        }),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), prop::option::of(inner.clone())).prop_map(|(condition, then, otherwise)| {
                match otherwise {
                    Some(otherwise) => json!({"$if": condition, "then": then, "else": otherwise}),
                    None => json!({"$if": condition, "then": then}),
                }
            }),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|options| json!({"$coalesce": options})),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            (inner.clone(), inner).prop_map(|(x, y)| json!({"x": x, "$y": y})),
        ]
    })
    .boxed()
}
