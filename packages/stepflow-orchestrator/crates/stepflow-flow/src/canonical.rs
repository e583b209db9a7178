//! The canonical form of a flow. Its SHA-256 is the flow id, so a change here changes the id of every flow that exists.
//! The language's documentation defines the form.
//!
//! It leaves out members that are absent or `null`, and our own collections when they are empty (`steps`, `examples`,
//! `cases`, `metadata`, `schemas`, `test`). Required members stay, so that the form can be read back as the same flow.

use serde::{Serialize, Serializer, ser};
use stepflow_protocol::{FlowId, Value, content_id};

use crate::document::{ExampleInput, Flow, Step, TestCase, TestConfig};
use crate::expression::Expression;

impl Flow {
    /// The flow's id: the SHA-256 of its canonical form.
    #[must_use]
    pub fn id(&self) -> FlowId {
        content_id(self.canonical().as_bytes())
    }

    /// The same text for a flow however it was written: compact JSON with our keys in a fixed order and everything else
    /// in the author's order.
    #[must_use]
    pub fn canonical(&self) -> String {
        flow(self)
    }
}

/// The canonical form.
impl Serialize for Flow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::parse(self.canonical()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

fn flow(flow: &Flow) -> String {
    let mut object = Object::new();
    object.optional_text("name", flow.name.as_deref());
    object.optional_text("description", flow.description.as_deref());
    object.optional_text("version", flow.version.as_deref());
    if !flow.schemas.is_empty() {
        object.value("schemas", flow.schemas.value());
    }
    object.list("steps", &flow.steps, step);
    object.expression("output", &flow.output);
    if let Some(test) = flow.test.as_ref().map(test).filter(|test| test != "{}") {
        object.raw("test", &test);
    }
    object.list("examples", &flow.examples, example);
    object.map("metadata", &flow.metadata);
    object.optional("timeout", flow.timeout.as_ref().map(crate::duration::TimeSpan::written));
    object.close()
}

/// The canonical form of a step.
pub(crate) fn step(step: &Step) -> String {
    let mut object = Object::new();
    object.text("id", &step.id);
    object.text("component", &step.component);
    object.optional("onError", step.on_error.as_ref().map(|handling| &handling.written));
    object.expression("input", &step.input);
    object.optional("mustExecute", step.must_execute.map(Value::from).as_ref());
    object.map("metadata", &step.metadata);
    object.optional("timeout", step.timeout.as_ref().map(crate::duration::TimeSpan::written));
    object.close()
}

fn test(test: &TestConfig) -> String {
    let mut object = Object::new();
    object.optional_text("configFile", test.config_file.as_deref());
    object.optional("config", test.config.as_ref());
    object.list("cases", &test.cases, case);
    object.close()
}

fn case(case: &TestCase) -> String {
    let mut object = Object::new();
    object.text("name", &case.name);
    object.optional_text("description", case.description.as_deref());
    object.value("input", &case.input);
    object.optional("output", case.output.as_ref());
    object.optional("mocks", case.mocks.as_ref());
    object.optional("expectSteps", case.expect_steps.as_ref());
    object.close()
}

fn example(example: &ExampleInput) -> String {
    let mut object = Object::new();
    object.text("name", &example.name);
    object.optional_text("description", example.description.as_deref());
    object.value("input", &example.input);
    object.close()
}

/// An expression in the author's order: each path is written in its one form, and members without a meaning are left
/// out.
pub(crate) fn expression(expression: &Expression) -> Value {
    let text = |path: &crate::path::Path| Value::string(&path.to_string());
    match expression {
        Expression::Literal(value) => value.clone(),
        Expression::Escaped(value) => Value::object([("$literal", value.clone())]),
        Expression::Input(path) => Value::object([("$input", text(path))]),
        Expression::Step { step, path } => {
            let path = (!path.is_root()).then(|| ("path", text(path)));
            Value::object([("$step", Value::string(step))].into_iter().chain(path))
        }
        Expression::Variable { name, path, default } => {
            let mut whole = vec![crate::path::Segment::Field(name.clone())];
            whole.extend_from_slice(path.segments());
            let default = default.as_ref().map(|default| ("default", self::expression(default)));
            Value::object([("$variable", text(&whole.into()))].into_iter().chain(default))
        }
        Expression::If { condition, then, otherwise } => {
            let otherwise = otherwise.as_ref().map(|otherwise| ("else", self::expression(otherwise)));
            let members = [("$if", self::expression(condition)), ("then", self::expression(then))];
            Value::object(members.into_iter().chain(otherwise))
        }
        Expression::Coalesce(items) => Value::object([("$coalesce", Value::array(items.iter().map(self::expression)))]),
        Expression::Array(items) => Value::array(items.iter().map(self::expression)),
        Expression::Object(members) => {
            Value::object(members.iter().map(|(key, member)| (key, self::expression(member))))
        }
    }
}

/// Writes one JSON object, member by member.
pub(crate) struct Object(String);

impl Object {
    pub fn new() -> Self {
        Self("{".to_owned())
    }

    pub fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn raw(&mut self, key: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(json);
    }

    fn value(&mut self, key: &str, value: &Value) {
        self.raw(key, value.as_str());
    }

    pub fn optional(&mut self, key: &str, value: Option<&Value>) {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            self.value(key, value);
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        self.value(key, &Value::string(text));
    }

    fn optional_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn expression(&mut self, key: &str, expression: &Expression) {
        if !expression.is_null() {
            self.value(key, &self::expression(expression));
        }
    }

    fn list<T>(&mut self, key: &str, items: &[T], write: fn(&T) -> String) {
        if !items.is_empty() {
            let items: Vec<String> = items.iter().map(write).collect();
            self.raw(key, &format!("[{}]", items.join(",")));
        }
    }

    fn map(&mut self, key: &str, members: &indexmap::IndexMap<String, Value>) {
        if !members.is_empty() {
            self.value(key, &Value::object(members.iter().map(|(key, value)| (key, value.clone()))));
        }
    }
}
