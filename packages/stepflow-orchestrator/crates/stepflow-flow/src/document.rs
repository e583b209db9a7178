//! The flow document as types: what a reader makes of YAML or JSON after all checks of form.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use stepflow_protocol::{FlowId, Value, content_id};

use crate::duration::TimeSpan;
use crate::expression::Expression;
use crate::flow_schema;
use crate::retry::OnError;
use crate::source::Source;

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
    #[schemars(with = "Option<flow_schema::OnErrorSchema>")]
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
}

impl Default for Schemas {
    fn default() -> Self {
        Self(Value::null())
    }
}

impl Flow {
    /// The flow's name among all flows: the SHA-256 of its canonical form.
    #[must_use]
    pub fn id(&self) -> FlowId {
        content_id(self.canonical().as_bytes())
    }

    /// The one text that stands for this flow, however it was written: compact JSON with our keys in a fixed order
    /// and everything else in the author's.
    #[must_use]
    pub fn canonical(&self) -> String {
        crate::canonical::canonical(self)
    }
}

/// The canonical form.
impl Serialize for Flow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::parse(self.canonical()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

/// Reads a flow with all checks; fatal diagnostics become the error's text. [`crate::load`] says more.
impl<'de> Deserialize<'de> for Flow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = <Value as Deserialize>::deserialize(deserializer)?;
        let loaded = crate::load(Source::json("flow", document.as_bytes()));
        let flow = loaded.flow.ok_or_else(|| de::Error::custom(&loaded.diagnostics))?;
        Ok(std::sync::Arc::unwrap_or_clone(flow))
    }
}
