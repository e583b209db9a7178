//! The variables that a flow declares, and the values they have when nobody gives them one.

use indexmap::IndexMap;
use stepflow_protocol::{Kind, Value};

use crate::document::Schemas;
use crate::secrets::Secrets;

/// Declared variables by name, in the order of their declaration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variables {
    declared: Option<IndexMap<String, Variable>>,
}

/// A declared variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its value when it was not given: its `default`, else one that its type implies unless it is required.
    pub default: Option<Value>,
    /// The environment variable that its author wants it taken from.
    pub env_var: Option<String>,
    /// Whether a run must be given it, unless it has a default.
    pub required: bool,
    /// Whether it is a secret, or has one in it.
    pub is_secret: bool,
}

impl Variable {
    /// The environment variable that it is taken from when the environment is asked: its `env_var`, else
    /// `STEPFLOW_VAR_` and its name in capitals.
    #[must_use]
    pub fn environment_name(&self, name: &str) -> String {
        self.env_var.clone().unwrap_or_else(|| format!("STEPFLOW_VAR_{}", name.to_uppercase()))
    }
}

impl Variables {
    /// The variables of `schemas.properties.variables`.
    #[must_use]
    pub fn of(schemas: &Schemas) -> Self {
        let Some(schema) = schemas.part("variables") else { return Self::default() };
        let secrets = Secrets::of_flow(schemas, "variables");
        let required: Vec<String> = schema
            .field("required")
            .map(|names| names.elements().iter().filter_map(Value::text).collect())
            .unwrap_or_default();
        let properties = schema.field("properties").map(|properties| properties.members()).unwrap_or_default();
        let declared = properties.into_iter().map(|(name, property)| {
            let required = required.contains(&name);
            let implied = || if required { None } else { implied_default(&property) };
            let variable = Variable {
                default: property.field("default").or_else(implied),
                env_var: property.field("env_var").and_then(|env_var| env_var.text()),
                required,
                is_secret: !secrets.field(&name).is_none(),
            };
            (name, variable)
        });
        Self { declared: Some(declared.collect()) }
    }

    /// Whether the flow declares its variables at all.
    #[must_use]
    pub fn declared(&self) -> bool {
        self.declared.is_some()
    }

    /// Whether this variable is declared.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The declared variable of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.declared.as_ref()?.get(name)
    }

    /// The declared variables by name, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.declared.iter().flatten().map(|(name, variable)| (name.as_str(), variable))
    }

    /// The names of the declared variables, in the order of their declaration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// These variables, and the required ones that are not among them but have a default.
    pub(crate) fn with_required_defaults(&self, given: &Value) -> Value {
        let added: Vec<(String, Value)> = self
            .iter()
            .filter(|(name, variable)| variable.required && given.field(name).is_none())
            .filter_map(|(name, variable)| Some((name.to_owned(), variable.default.clone()?)))
            .collect();
        match given.kind() {
            Kind::Object if !added.is_empty() => Value::object(given.members().into_iter().chain(added)),
            _ => given.clone(),
        }
    }

    /// The value of a variable that was not given: its `default`, else one that its type implies.
    #[must_use]
    pub fn default_of(&self, name: &str) -> Option<&Value> {
        self.get(name)?.default.as_ref()
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
