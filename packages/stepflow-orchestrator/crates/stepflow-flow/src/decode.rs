//! From a document's tree to a typed flow.

mod expression;
mod lookalike;
mod old;
mod on_error;
mod sections;

pub(crate) use expression::is_expression;
pub use on_error::backoff;
pub(crate) use sections::modern;

use indexmap::IndexMap;
use stepflow_protocol::Value;

use crate::decoder::{Decoder, Fields};
use crate::document::{ExampleInput, Flow, Schemas, Step, TestCase, TestConfig};
use crate::expression::Expression;
use crate::node::{Content, Node};

/// The flow of a [`modern`] tree, as far as it can be read.
pub(crate) fn flow(decoder: &mut Decoder, root: &Node) -> Option<Flow> {
    let Content::Object(_) = root.content else {
        let help = if root.is_null() { "the document is empty; " } else { "" };
        return decoder.mismatch_help(root, "an object", format!("{help}a flow has `steps` and an `output`"));
    };
    let mut fields = decoder.fields(root)?;
    old::report_flow_keys(decoder, &mut fields);
    let flow = Flow {
        name: fields.optional(decoder, "name", Decoder::string),
        description: fields.optional(decoder, "description", Decoder::string),
        version: fields.optional(decoder, "version", Decoder::string),
        schemas: fields.optional(decoder, "schemas", schemas).unwrap_or_default(),
        steps: fields.optional(decoder, "steps", steps).unwrap_or_default(),
        output: optional_expression(decoder, &mut fields, "output"),
        test: fields.optional(decoder, "test", test),
        examples: fields.optional(decoder, "examples", |decoder, node| decoder.each(node, example)).unwrap_or_default(),
        metadata: metadata(decoder, &mut fields),
        timeout: fields.optional(decoder, "timeout", Decoder::time_span),
    };
    fields.ignore("$schema");
    if root.get("schema").is_some_and(|schema| schema.as_str().is_some()) {
        // Names the language. Published flows have it.
        fields.ignore("schema");
    }
    fields.close(decoder);
    Some(flow)
}

fn steps(decoder: &mut Decoder, node: &Node) -> Option<Vec<Step>> {
    match node.content {
        Content::Array(_) => decoder.each(node, step),
        _ => decoder.mismatch_help(node, "an array", "steps are a list: begin each one with `- id: …`"),
    }
}

/// A step. If its id or component is missing, it is kept with a blank one, so that the steps after it keep their index.
pub(crate) fn step(decoder: &mut Decoder, node: &Node) -> Option<Step> {
    let blank = || Step {
        id: String::new(),
        component: String::new(),
        on_error: None,
        input: Expression::null(),
        must_execute: None,
        metadata: IndexMap::new(),
        timeout: None,
    };
    let Some(mut fields) = decoder.fields(node) else { return Some(blank()) };
    old::report_step_keys(decoder, &mut fields);
    let step = Step {
        id: fields.required(decoder, "id", Decoder::string).unwrap_or_default(),
        component: fields.required(decoder, "component", Decoder::string).unwrap_or_default(),
        on_error: fields.optional(decoder, "onError", on_error::on_error),
        input: optional_expression(decoder, &mut fields, "input"),
        must_execute: fields.optional(decoder, "mustExecute", Decoder::boolean),
        metadata: metadata(decoder, &mut fields),
        timeout: fields.optional(decoder, "timeout", Decoder::time_span),
    };
    fields.close(decoder);
    Some(step)
}

fn optional_expression(decoder: &mut Decoder, fields: &mut Fields<'_>, key: &'static str) -> Expression {
    fields.optional(decoder, key, |decoder, node| Some(expression::expression(decoder, node))).unwrap_or_default()
}

fn metadata(decoder: &mut Decoder, fields: &mut Fields<'_>) -> IndexMap<String, Value> {
    fields
        .optional(decoder, "metadata", |decoder, node| {
            decoder.each_member(node, |_, entry| Some(entry.value.to_value()))
        })
        .unwrap_or_default()
        .into_iter()
        .collect()
}

fn schemas(decoder: &mut Decoder, node: &Node) -> Option<Schemas> {
    let Content::Object(_) = node.content else { return decoder.mismatch(node, "an object") };
    old::report_bare_schemas(decoder, node);
    Some(Schemas::new(node.to_value()))
}

fn test(decoder: &mut Decoder, node: &Node) -> Option<TestConfig> {
    let mut fields = decoder.fields(node)?;
    let test = TestConfig {
        config_file: fields.optional(decoder, "configFile", Decoder::string),
        config: fields
            .optional(decoder, "config", Decoder::object)
            .or_else(|| fields.optional(decoder, "stepflow_config", Decoder::object)),
        cases: fields.optional(decoder, "cases", |decoder, node| decoder.each(node, case)).unwrap_or_default(),
    };
    fields.ignore("stepflow_config");
    fields.close(decoder);
    Some(test)
}

fn case(decoder: &mut Decoder, node: &Node) -> Option<TestCase> {
    let mut fields = decoder.fields(node)?;
    let case = TestCase {
        name: fields.required(decoder, "name", Decoder::string).unwrap_or_default(),
        description: fields.optional(decoder, "description", Decoder::string),
        input: plain_input(decoder, &mut fields),
        output: fields.optional(decoder, "output", Decoder::object),
        mocks: fields.optional(decoder, "mocks", Decoder::object),
        expect_steps: fields.optional(decoder, "expectSteps", Decoder::object),
    };
    fields.close(decoder);
    Some(case)
}

fn example(decoder: &mut Decoder, node: &Node) -> Option<ExampleInput> {
    let mut fields = decoder.fields(node)?;
    let example = ExampleInput {
        name: fields.required(decoder, "name", Decoder::string).unwrap_or_default(),
        description: fields.optional(decoder, "description", Decoder::string),
        input: plain_input(decoder, &mut fields),
    };
    fields.close(decoder);
    Some(example)
}

/// A run's input: any JSON, also `null`, but the key must be there.
fn plain_input(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Value {
    match fields.get_or_null("input") {
        Some(input) => input.to_value(),
        None => {
            fields.report_missing(decoder, "input");
            Value::null()
        }
    }
}
