//! The flow document as types: what a reader makes of YAML or JSON after all checks of form.

use indexmap::IndexMap;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;
use stepflow_protocol::{Kind, Value};

use crate::duration::TimeSpan;
use crate::expression::Expression;
use crate::on_error_schema::OnErrorSchema;
use crate::retry::OnError;

/// The JSON Schema of a flow document, for editors and for the generation of types in other languages.
#[must_use]
pub fn schema() -> Json {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Flow>().to_value()
}

/// A flow: steps that call components, and an output made from their results.
#[derive(Debug, Clone, PartialEq, Default, JsonSchema)]
#[schemars(rename_all = "camelCase", title = "Flow")]
pub struct Flow {
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its version, in any form.
    pub version: Option<String>,
    /// A JSON Schema of an object: its `properties` `input`, `output`, `variables` and `steps` are the schemas of the
    /// flow's parts, its `$defs` are shared by them (`#/schemas/$defs/…`).
    #[schemars(with = "Option<IndexMapSchema>")]
    pub schemas: Schemas,
    /// The steps. Their order says nothing about when they run.
    #[schemars(with = "Option<Vec<Step>>")]
    pub steps: Vec<Step>,
    /// The flow's result: an expression.
    #[schemars(default)]
    pub output: Expression,
    /// Cases to try the flow with.
    pub test: Option<TestConfig>,
    /// Inputs to show how it is used.
    #[schemars(with = "Option<Vec<ExampleInput>>")]
    pub examples: Vec<ExampleInput>,
    /// Anything; never read by the engine.
    #[schemars(with = "Option<IndexMapSchema>")]
    pub metadata: IndexMap<String, Value>,
    /// How long the whole run may take.
    pub timeout: Option<TimeSpan>,
}

/// One call of a component.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(rename_all = "camelCase", title = "Step")]
pub struct Step {
    /// The step's name, unique in the flow.
    pub id: String,
    /// The path of the component, such as `/python/clean`.
    pub component: String,
    /// What to do when the component fails; by default the step fails.
    #[schemars(with = "Option<OnErrorSchema>")]
    pub on_error: Option<ErrorHandling>,
    /// The component's input: an expression.
    #[schemars(default)]
    pub input: Expression,
    /// Whether the step runs even when nothing needs its result.
    pub must_execute: Option<bool>,
    /// Anything; never read by the engine.
    #[schemars(with = "Option<IndexMapSchema>")]
    pub metadata: IndexMap<String, Value>,
    /// How long one attempt may take.
    pub timeout: Option<TimeSpan>,
}

/// A step's `onError`: what it means, and how its author wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorHandling {
    /// What it means.
    pub policy: OnError,
    /// How it is written in the canonical form.
    pub(crate) written: Value,
}

/// The flow's `test` section.
#[derive(Debug, Clone, PartialEq, Default, JsonSchema)]
#[schemars(rename_all = "camelCase", title = "TestConfig")]
pub struct TestConfig {
    /// The configuration file to test with, relative to the flow's file.
    pub config_file: Option<String>,
    /// The configuration itself, instead of a file.
    pub config: Option<Value>,
    /// The cases.
    #[schemars(with = "Option<Vec<TestCase>>")]
    pub cases: Vec<TestCase>,
}

/// An input and what should come of it.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(rename_all = "camelCase", title = "TestCase")]
pub struct TestCase {
    /// The case's name.
    pub name: String,
    /// What it shows.
    pub description: Option<String>,
    /// The run's input.
    #[schemars(required)]
    pub input: Value,
    /// The expected result (`{outcome, result | error}`), of which parts may be left out.
    pub output: Option<Value>,
    /// Answers of components that are not called, by component path.
    pub mocks: Option<Value>,
    /// Expected status and attempts, by step id.
    pub expect_steps: Option<Value>,
}

/// An input that shows how a flow is used.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(rename_all = "camelCase", title = "ExampleInput")]
pub struct ExampleInput {
    /// The example's name.
    pub name: String,
    /// What it shows.
    pub description: Option<String>,
    /// The run's input.
    #[schemars(required)]
    pub input: Value,
}

/// The flow's `schemas`: itself a JSON Schema, of an object with `input`, `output`, `variables` and `steps`.
#[derive(Debug, Clone, PartialEq)]
pub struct Schemas(Value);

type IndexMapSchema = std::collections::BTreeMap<String, serde_json::Value>;

impl Schemas {
    /// The section as its author wrote it; `null` when there is none.
    #[must_use]
    pub fn new(written: Value) -> Self {
        Self(written)
    }

    /// The section as its author wrote it.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Whether it says nothing: absent, `{}` or `{type: object}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.members().iter().all(|(key, value)| key == "type" && *value == Value::string("object"))
    }

    /// The schema of one of the parts: `input`, `output`, `variables` or `steps`.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<Value> {
        self.0.field("properties")?.field(name).filter(|schema| !schema.is_null())
    }

    /// A schema with this section beside its own keywords, so that references into either find their target.
    pub(crate) fn around(&self, schema: &Value) -> Value {
        if schema.kind() != Kind::Object {
            return schema.clone();
        }
        let mut members = schema.members();
        let shared = [("$defs", self.0.field("$defs")), ("schemas", Some(self.0.clone()))];
        for (key, value) in shared {
            if let Some(value) = value.filter(|_| schema.field(key).is_none()) {
                members.push((key.to_owned(), value));
            }
        }
        Value::object(members)
    }
}

impl Default for Schemas {
    fn default() -> Self {
        Self(Value::null())
    }
}
