//! The variables that a flow declares, and the values they have when nobody gives them one.

use std::collections::HashMap;

use stepflow_protocol::{Kind, Value};

use crate::document::Schemas;

/// Declared variables by name, with their defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variables {
    defaults: HashMap<String, Option<Value>>,
    required: Vec<String>,
    declared: bool,
}

impl Variables {
    /// The variables of `schemas.properties.variables`.
    #[must_use]
    pub fn of(schemas: &Schemas) -> Self {
        let Some(schema) = schemas.part("variables") else { return Self::default() };
        let required: Vec<String> = schema
            .field("required")
            .map(|names| names.elements().iter().filter_map(Value::text).collect())
            .unwrap_or_default();
        let properties = schema.field("properties").map(|properties| properties.members()).unwrap_or_default();
        let defaults = properties
            .into_iter()
            .map(|(name, property)| {
                let implied = || if required.contains(&name) { None } else { implied_default(&property) };
                let default = property.field("default").or_else(implied);
                (name, default)
            })
            .collect();
        Self { defaults, required, declared: true }
    }

    /// Whether the flow declares its variables at all.
    #[must_use]
    pub fn declared(&self) -> bool {
        self.declared
    }

    /// Whether this variable is declared.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.defaults.contains_key(name)
    }

    /// The names of the declared variables, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.defaults.keys().map(String::as_str)
    }

    /// These variables, and the required ones that are not among them but have a default.
    pub(crate) fn with_required_defaults(&self, given: &Value) -> Value {
        let added: Vec<(String, Value)> = self
            .required
            .iter()
            .filter(|name| given.field(name).is_none())
            .filter_map(|name| Some((name.clone(), self.default_of(name)?.clone())))
            .collect();
        match given.kind() {
            Kind::Object if !added.is_empty() => Value::object(given.members().into_iter().chain(added)),
            _ => given.clone(),
        }
    }

    /// The value of a variable that was not given: its `default`, else one that its type implies.
    #[must_use]
    pub fn default_of(&self, name: &str) -> Option<&Value> {
        self.defaults.get(name)?.as_ref()
    }
}

/// The default of an optional variable that states none.
fn implied_default(property: &Value) -> Option<Value> {
    let kind = property.field("type")?;
    if kind.kind() == Kind::Array {
        let nullable = kind.elements().iter().any(|one| one.text().as_deref() == Some("null"));
        return nullable.then(Value::null);
    }
    match kind.text()?.as_str() {
        "string" => Some(Value::string("")),
        "number" | "integer" => Some(Value::from(0_i64)),
        "boolean" => Some(Value::from(false)),
        _ => None,
    }
}
