//! Shared by the tests: reads a flow from text, and gives expressions their values.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

use std::collections::HashMap;
use std::sync::Arc;

use stepflow_flow::{Flow, Found, Loaded, Plan, Scope, Source, StepIndex, StepState, load};
use stepflow_protocol::Value;

pub fn yaml(text: &str) -> Loaded {
    load(Source::yaml("flow.yaml", text))
}

pub fn json(text: &str) -> Loaded {
    load(Source::json("flow.json", text))
}

pub fn flow(text: &str) -> Arc<Flow> {
    let loaded = yaml(text);
    loaded.flow.clone().unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(&loaded.source, false)))
}

pub fn plan(text: &str) -> Plan {
    Plan::compile(flow(text)).unwrap()
}

/// The plan of a flow whose output is this expression, over steps `a`, `b` and `c`.
pub fn output(expression: &str) -> Plan {
    plan(&format!(
        "steps:\n- {{id: a, component: /x}}\n- {{id: b, component: /x}}\n- {{id: c, component: /x}}\noutput: {expression}"
    ))
}

pub fn value(text: &str) -> Value {
    Value::parse(text).unwrap()
}

/// Code, path, line and column of each diagnostic, without the warnings that every small flow has.
pub fn found(loaded: &Loaded) -> Vec<(u16, String, usize, usize)> {
    loaded
        .diagnostics
        .iter()
        .map(|one| (one.code.number(), one))
        .filter(|(code, _)| ![1000, 1001, 1002].contains(code))
        .map(|(code, one)| {
            let position = one.position.unwrap();
            (code, one.path.clone(), position.line, position.column)
        })
        .collect()
}

/// The values of an item, as a test gives them. Steps without a value are unfinished.
#[derive(Default)]
pub struct Given {
    pub input: Option<Value>,
    pub steps: HashMap<StepIndex, StepState>,
    pub variables: HashMap<String, Found>,
}

impl Given {
    pub fn input(text: &str) -> Self {
        Self { input: Some(value(text)), ..Self::default() }
    }

    pub fn step(mut self, step: StepIndex, result: &str) -> Self {
        self.steps.insert(step, StepState::Value(value(result)));
        self
    }

    pub fn state(mut self, step: StepIndex, state: StepState) -> Self {
        self.steps.insert(step, state);
        self
    }

    pub fn variable(mut self, name: &str, text: &str) -> Self {
        self.variables.insert(name.to_owned(), Found::Here(value(text)));
        self
    }

    pub fn away(mut self, name: &str) -> Self {
        self.variables.insert(name.to_owned(), Found::Away);
        self
    }
}

impl Scope for Given {
    fn input(&self) -> Found {
        self.input.clone().map_or(Found::Away, Found::Here)
    }

    fn step(&self, step: StepIndex) -> StepState {
        self.steps.get(&step).cloned().unwrap_or(StepState::Open)
    }

    fn variable(&self, name: &str) -> Option<Found> {
        self.variables.get(name).cloned()
    }
}
