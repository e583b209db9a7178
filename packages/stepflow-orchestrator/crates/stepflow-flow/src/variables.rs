//! The variables that a flow declares, and their values when a run is not given any.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value as Json;
use stepflow_protocol::{Kind, Value};

use crate::document::Schemas;
use crate::json_pointer;
use crate::schema::document::{Declared, Document};
use crate::secrets::Secrets;

/// Declared variables by name, in the order of their declaration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variables {
    declared: Option<IndexMap<String, Variable>>,
}

/// A declared variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its value when it was not given: its `default`, or, unless it is required, one that its type implies.
    pub default: Option<Value>,
    /// The environment variable that its author names for it.
    pub env_var: Option<String>,
    /// Whether a run must be given it, unless it has a default.
    pub required: bool,
    /// Whether it is a secret, or contains one.
    pub is_secret: bool,
    /// The types that its schema names; none for any.
    pub types: Vec<String>,
}

impl Variable {
    fn of(schema: &Declared<'_>, required: bool, is_secret: bool, written: &WrittenSchema) -> Self {
        let implied = || if required { None } else { implied_default(schema.get("type")?) };
        Self {
            default: schema.get("default").and_then(|default| written.value(default)).or_else(implied),
            env_var: schema.get("env_var").and_then(Json::as_str).map(str::to_owned),
            required,
            is_secret,
            types: types(schema.get("type")),
        }
    }

    /// Whether values of this type are allowed by its schema.
    #[must_use]
    pub fn takes(&self, r#type: &str) -> bool {
        self.types.iter().any(|one| one == r#type)
    }

    /// The environment variable that it may be taken from: its `env_var`, or `STEPFLOW_VAR_` and its name in capitals.
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
        let whole = schemas.around(&schema);
        let document = whole.to_json().ok().and_then(Document::of);
        let Some(document) = document else { return Self { declared: Some(IndexMap::new()) } };
        let secrets = Secrets::of_flow(schemas, "variables");
        let written = WrittenSchema { whole, pointers: document.pointers() };
        let declared = document.root().map(|root| root.declared());
        let declared = declared.map(|schema| {
            let required: Vec<&str> =
                schema.all("required").filter_map(Json::as_array).flatten().filter_map(Json::as_str).collect();
            let variable = |name: &str| {
                let required = required.contains(&name);
                let is_secret = !secrets.field(name).is_none();
                (name.to_owned(), Variable::of(&schema.property(name), required, is_secret, &written))
            };
            schema.names().into_iter().map(variable).collect()
        });
        Self { declared: Some(declared.unwrap_or_default()) }
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

    /// The given variables, and the required ones that were not given but have a default.
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

/// The schema as its author wrote it: the copy for following references has lost digits of large numbers.
struct WrittenSchema {
    whole: Value,
    pointers: HashMap<*const Json, String>,
}

impl WrittenSchema {
    fn value(&self, json: &Json) -> Option<Value> {
        let pointer = self.pointers.get(&std::ptr::from_ref(json))?;
        json_pointer::names(pointer).try_fold(self.whole.clone(), |value, name| match value.kind() {
            Kind::Array => value.elements().into_iter().nth(name.parse().ok()?),
            _ => value.field(&name),
        })
    }
}

fn types(written: Option<&Json>) -> Vec<String> {
    let several = written.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    written.and_then(Json::as_str).into_iter().chain(several).map(str::to_owned).collect()
}

/// The default of an optional variable without a `default`.
fn implied_default(kind: &Json) -> Option<Value> {
    match kind {
        Json::Array(kinds) => kinds.iter().any(|one| one == "null").then(Value::null),
        Json::String(kind) => match kind.as_str() {
            "string" => Some(Value::string("")),
            "number" | "integer" => Some(Value::from(0_i64)),
            "boolean" => Some(Value::from(false)),
            _ => None,
        },
        _ => None,
    }
}
