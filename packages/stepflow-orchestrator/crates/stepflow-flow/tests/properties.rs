//! Properties of every text, every document and every expression.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::Given;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use stepflow_flow::{Evaluated, Path, Plan, Source, StepState, load, read_value};
use stepflow_protocol::{ErrorKind, FlowError};

/// Pieces of which documents are made, so that random text gets past the first character.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        ":",
        ": ",
        "- ",
        "\n",
        "  ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "'",
        "&x ",
        "*x",
        "|\n",
        ">\n",
        "#",
        "---\n",
        "!!int ",
        "$step",
        "$input",
        "$if",
        "then",
        "steps",
        "id",
        "component",
        "onError",
        "1",
        "-1.5",
        "1e400",
        "null",
        "\\u00",
        "é",
        "\u{feff}",
        "\r\n",
        "<<",
        "?",
        "timeout",
        "schemas",
        "properties",
        "$ref",
        "output",
        "\0",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn documents() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        prop::num::f64::NORMAL.prop_map(Json::from),
        "[ -~é日\\n\\t\"\\\\]{0,12}".prop_map(Json::from),
        prop::sample::select(vec!["yes", "null", "~", "1", "0x1f", "1e3", "- a", "a: b", "#", "", "<<", "*a", "&a"])
            .prop_map(Json::from),
    ];
    scalar.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::vec(("[ -~é]{0,8}", inner), 0..5)
                .prop_map(|members| Json::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Expressions over the input, two variables and three steps.
fn expressions() -> impl Strategy<Value = Json> {
    let path = prop::sample::select(vec!["$", "$.a", "$.b", "$.a.b", "$[0]", "$.z"]);
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(false)),
        Just(json!(7)),
        path.clone().prop_map(|path| json!({"$input": path})),
        (prop::sample::select(vec!["a", "b", "c"]), path).prop_map(|(step, path)| json!({"$step": step, "path": path})),
        prop::sample::select(vec!["$.v", "$.v.a", "$.w"]).prop_map(|path| json!({"$variable": path})),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| json!({"$coalesce": items})),
            (inner.clone(), inner.clone()).prop_map(|(k, l)| json!({"k": k, "l": l})),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, t, e)| json!({"$if": c, "then": t, "else": e})),
            (prop::sample::select(vec!["$.v", "$.v.z", "$.w"]), inner)
                .prop_map(|(path, default)| json!({"$variable": path, "default": default})),
        ]
    })
}

fn small_values() -> impl Strategy<Value = Json> {
    prop::sample::select(vec![
        json!(null),
        json!(false),
        json!(0),
        json!({"a": 1}),
        json!({"a": {"b": null}}),
        json!([3]),
        json!({"b": false}),
        json!("s"),
    ])
}

/// The state of a step, an input or a variable in the simple evaluator that the real one is compared with.
#[derive(Debug, Clone)]
enum State {
    Open,
    Failed,
    Done(Json),
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::Open), Just(State::Failed), small_values().prop_map(State::Done)]
}

#[derive(Debug, Clone, PartialEq)]
enum Naive {
    Value(Json),
    Failed,
    Pending(Vec<usize>),
}

struct World {
    input: Json,
    steps: [State; 3],
    v: Option<Json>,
}

impl World {
    fn look(value: &Json, path: &str) -> Naive {
        let pointer = path.trim_start_matches('$').replace('.', "/").replace("[0]", "/#0");
        let mut found = value;
        for part in pointer.split('/').skip(1) {
            let next = match part.strip_prefix('#') {
                Some(index) => found.as_array().and_then(|list| list.get(index.parse::<usize>().unwrap())),
                None => found.as_object().and_then(|object| object.get(part)),
            };
            match next {
                Some(next) => found = next,
                None => return Naive::Failed,
            }
        }
        Naive::Value(found.clone())
    }

    fn evaluate(&self, expression: &Json) -> Naive {
        match expression {
            Json::Array(items) => self.all(items.iter(), Json::Array),
            Json::Object(members) => self.object(members),
            scalar => Naive::Value(scalar.clone()),
        }
    }

    fn object(&self, members: &Map<String, Json>) -> Naive {
        if let Some(condition) = members.get("$if") {
            return match self.evaluate(condition) {
                Naive::Pending(steps) => Naive::Pending(steps),
                Naive::Failed | Naive::Value(Json::Null | Json::Bool(false)) => self.evaluate(&members["else"]),
                Naive::Value(_) => self.evaluate(&members["then"]),
            };
        }
        if let Some(items) = members.get("$coalesce") {
            for item in items.as_array().unwrap() {
                match self.evaluate(item) {
                    Naive::Value(Json::Null) => {}
                    settled => return settled,
                }
            }
            return Naive::Value(Json::Null);
        }
        if let Some(step) = members.get("$step") {
            let step = usize::from(step.as_str().unwrap().as_bytes()[0] - b'a');
            return match &self.steps[step] {
                State::Open => Naive::Pending(vec![step]),
                State::Failed => Naive::Failed,
                State::Done(Json::Null) => Naive::Value(Json::Null),
                State::Done(value) => Self::look(value, members["path"].as_str().unwrap()),
            };
        }
        if let Some(path) = members.get("$input") {
            return Self::look(&self.input, path.as_str().unwrap());
        }
        if let Some(path) = members.get("$variable") {
            let path = path.as_str().unwrap();
            let found = match &self.v {
                Some(v) if path.starts_with("$.v") => Self::look(v, &path[3..]),
                _ => Naive::Failed,
            };
            return match (found, members.get("default")) {
                (Naive::Failed, Some(default)) => self.evaluate(default),
                (found, _) => found,
            };
        }
        let keys: Vec<String> = members.keys().cloned().collect();
        self.all(members.values(), |values| Json::Object(keys.into_iter().zip(values).collect()))
    }

    fn all<'a>(&self, items: impl Iterator<Item = &'a Json>, gather: impl FnOnce(Vec<Json>) -> Json) -> Naive {
        let (mut values, mut failed, mut pending) = (Vec::new(), false, std::collections::BTreeSet::new());
        for item in items {
            match self.evaluate(item) {
                Naive::Value(value) => values.push(value),
                Naive::Failed => failed = true,
                Naive::Pending(steps) => pending.extend(steps),
            }
        }
        match (pending.is_empty(), failed) {
            (false, _) => Naive::Pending(pending.into_iter().collect()),
            (true, true) => Naive::Failed,
            (true, false) => Naive::Value(gather(values)),
        }
    }

    fn scope(&self) -> Given {
        let mut given = Given::input(&self.input.to_string());
        for (step, state) in self.steps.iter().enumerate() {
            given = match state {
                State::Open => given,
                State::Failed => {
                    given.state(step, StepState::Failed(FlowError::new(ErrorKind::ComponentFailed, "boom")))
                }
                State::Done(value) => given.step(step, &value.to_string()),
            };
        }
        match &self.v {
            Some(v) => given.variable("v", &v.to_string()),
            None => given,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_never_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for source in [Source::yaml("x", bytes.clone()), Source::json("x", bytes)] {
            let loaded = load(source);
            let _ = loaded.diagnostics.render(&loaded.source, true);
        }
    }

    #[test]
    fn reading_never_panics_on_any_pieces(text in pieces()) {
        for source in [Source::yaml("x", text.as_str()), Source::json("x", text.as_str())] {
            let loaded = load(source);
            let _ = loaded.diagnostics.render(&loaded.source, false);
            prop_assert_eq!(loaded.flow.is_some(), loaded.diagnostics.num_fatal() == 0);
            if let Some(flow) = loaded.flow {
                let again = load(Source::json("x", flow.canonical())).flow.map(|flow| flow.id());
                prop_assert_eq!(again, Some(flow.id()));
                prop_assert!(Plan::compile(flow).is_ok());
            }
        }
    }

    #[test]
    fn json_is_yaml_and_both_read_it_alike(document in documents()) {
        let text = document.to_string();
        let (json, yaml) = (read_value(&Source::json("x", text.as_str())), read_value(&Source::yaml("x", text.as_str())));
        prop_assert!(json.is_ok(), "{}: {:?}", text, json);
        prop_assert_eq!(json, yaml);
    }

    #[test]
    fn reading_a_value_twice_changes_nothing(document in documents()) {
        let once = read_value(&Source::json("x", document.to_string())).unwrap();
        prop_assert_eq!(once.to_json().unwrap(), document);
        prop_assert_eq!(read_value(&Source::json("x", once.as_bytes())).unwrap(), once);
    }

    #[test]
    fn a_flow_has_the_same_id_from_yaml_and_json(output in documents()) {
        let flow = json!({"name": "n", "output": {"$literal": output}}).to_string();
        let id = |source: Source| load(source).flow.map(|flow| flow.id());
        let from_json = id(Source::json("x", flow.as_str()));
        prop_assert!(from_json.is_some());
        prop_assert_eq!(from_json, id(Source::yaml("x", flow)));
    }

    #[test]
    fn paths_survive_their_canonical_text(names in prop::collection::vec(any::<String>(), 0..4)) {
        let path = names.into_iter().fold(Path::root(), |path, name| path.field(name).index(3));
        prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
    }

    #[test]
    fn evaluation_agrees_with_a_naive_one(
        expression in expressions(),
        input in small_values(),
        steps in [states(), states(), states()],
        v in prop::option::of(small_values()),
    ) {
        let world = World { input, steps, v };
        let plan = common::output(&expression.to_string());
        let evaluated = match plan.output.evaluate(&world.scope()) {
            Evaluated::Value(found) => Naive::Value(found.to_json().unwrap()),
            Evaluated::Failed { .. } => Naive::Failed,
            Evaluated::Pending(steps) => Naive::Pending(steps),
            Evaluated::Missing(places) => panic!("everything is in memory, but {places:?} is asked for"),
        };
        prop_assert_eq!(evaluated, world.evaluate(&expression));
    }
}
