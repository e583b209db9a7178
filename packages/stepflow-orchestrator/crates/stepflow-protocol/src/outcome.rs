//! How an item ended: a result or an error, in the form that the published clients read.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{FlowError, Value};

/// How a flow ended for one item.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowResult {
    /// The flow's output.
    Success(Value),
    /// The error that its output touched.
    Failed(FlowError),
}

/// The wire form: flat, because a tagged enum would parse and print the raw value on its way.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FlowResult")]
struct Wire {
    /// `success` or `failed`.
    outcome: String,
    /// The output of a success.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    result: Option<Value>,
    /// The error of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<FlowError>,
}

/// Tells `"result": null` (a result) from no `result`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    <Value as Deserialize>::deserialize(deserializer).map(Some)
}

impl Serialize for FlowResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (outcome, result, error) = match self {
            Self::Success(value) => ("success", Some(value.clone()), None),
            Self::Failed(error) => ("failed", None, Some(error.clone())),
        };
        Wire { outcome: outcome.to_owned(), result, error }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FlowResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        match (wire.outcome.as_str(), wire.result, wire.error) {
            ("success", Some(value), None) => Ok(Self::Success(value)),
            ("failed", None, Some(error)) => Ok(Self::Failed(error)),
            ("success" | "failed", ..) => {
                Err(de::Error::custom("a success has a `result` and no `error`, a failure an `error` and no `result`"))
            }
            (other, ..) => Err(de::Error::custom(format!("`{other}` is not an outcome: `success` or `failed`"))),
        }
    }
}

impl JsonSchema for FlowResult {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FlowResult".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Wire::json_schema(generator)
    }
}
