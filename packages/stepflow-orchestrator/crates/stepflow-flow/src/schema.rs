//! JSON Schemas, compiled once. They tell whether a value fits, and if not, where and why.

pub mod document;
mod effort;

use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value as Json;
use stepflow_protocol::{Kind, Value};

use crate::capped::Capped;
use crate::document::Schemas;
use crate::json_pointer;
use crate::secrets::Secrets;
use effort::Effort;

/// A compiled JSON Schema. Never fetches anything: a reference to another document is an error.
pub struct Schema {
    validator: Validator,
    effort: Option<Effort>,
}

/// Raised when a schema is not a JSON Schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidSchema {
    /// Where in the schema, as a JSON pointer; empty for the schema as a whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// One place in which a value does not fit its schema. Says nothing about the value except its type: it may be a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Misfit {
    /// Where in the value, as a JSON pointer; empty for the value as a whole.
    pub pointer: String,
    /// What the schema asks for.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Both in one sentence.
    pub message: String,
}

impl Schema {
    /// Compiles a schema that stands alone, such as a component's input schema.
    ///
    /// # Errors
    ///
    /// When it is not a JSON Schema, or refers to another document.
    pub fn compile(schema: &Value) -> Result<Self, InvalidSchema> {
        Self::build(&tree(schema)?)
    }

    /// Compiles the schema of a part of a flow (`input`, `output`, `variables`); `None` when the flow has none.
    ///
    /// Inside it, `#/schemas/$defs/Name` and `#/$defs/Name` both lead to the definitions that the flow shares.
    ///
    /// # Errors
    /// When it is not a JSON Schema, or refers to another document.
    pub fn of_flow(schemas: &Schemas, part: &str) -> Result<Option<Self>, InvalidSchema> {
        schemas.part(part).map(|schema| Self::with_definitions(&schema, schemas)).transpose()
    }

    /// Compiles a schema that may refer to the flow's shared definitions.
    pub(crate) fn with_definitions(schema: &Value, schemas: &Schemas) -> Result<Self, InvalidSchema> {
        Self::build(&tree(&schemas.around(schema))?)
    }

    /// Checks a value.
    ///
    /// # Errors
    /// The first places in which it does not fit.
    pub fn check(&self, value: &Value) -> Result<(), Capped<Misfit>> {
        let Ok(json) = value.to_json() else {
            let misfit = || {
                let expected = "numbers that a computer can hold".to_owned();
                Misfit::new(String::new(), expected, "a larger one".to_owned())
            };
            return Err(std::iter::once_with(misfit).collect());
        };
        if self.effort.as_ref().is_some_and(|effort| !effort.allows(&json)) {
            let misfit = || {
                let expected = "a value that the schema's references check in reasonable time".to_owned();
                Misfit::new(String::new(), expected, "one for which they branch too often".to_owned())
            };
            return Err(std::iter::once_with(misfit).collect());
        }
        let misfits: Capped<Misfit> = self.validator.iter_errors(&json).map(|error| misfit(&error)).collect();
        if misfits.is_empty() { Ok(()) } else { Err(misfits) }
    }

    fn build(schema: &Json) -> Result<Self, InvalidSchema> {
        match jsonschema::options().offline().build(schema) {
            Ok(validator) => Ok(Self { validator, effort: Effort::of(schema) }),
            Err(error) => Err(invalid(&error)),
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

impl Misfit {
    fn new(pointer: String, expected: String, found: String) -> Self {
        let place = if pointer.is_empty() { String::new() } else { format!("`{pointer}`: ") };
        let message = format!("{place}expected {expected}, found {found}");
        Self { pointer, expected, found, message }
    }
}

impl Misfit {
    /// What is wrong, without the place.
    #[must_use]
    pub fn problem(&self) -> &str {
        self.message.strip_prefix(&format!("`{}`: ", self.pointer)).unwrap_or(&self.message)
    }

    /// The same without secrets: the place is the one of the secret, and names of members are left out.
    pub(crate) fn without(self, secrets: &Secrets) -> Self {
        let mut here = secrets.clone();
        let mut place = String::new();
        for name in json_pointer::names(&self.pointer) {
            if here.is_all() {
                break;
            }
            let element = name.parse().map(|index| here.element(index)).unwrap_or_default();
            here = here.field(&name).and(element);
            place += &json_pointer::segment(&name);
        }
        let hides_values = !here.is_none() && names_values(&self.expected);
        if !here.is_all() && !hides_values {
            return self;
        }
        let found = if self.found.starts_with('`') { "others".to_owned() } else { self.found };
        let expected = if hides_values { "a value that the schema names".to_owned() } else { self.expected };
        Self::new(place, expected, found)
    }
}

/// Whether the schema asks for the values of a `const` or an `enum`, and not for a type.
fn names_values(expected: &str) -> bool {
    expected.starts_with("one of [") || expected != "null" && serde_json::from_str::<Json>(expected).is_ok()
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn tree(schema: &Value) -> Result<Json, InvalidSchema> {
    schema.to_json().map_err(|error| InvalidSchema { pointer: String::new(), message: error.to_string() })
}

fn invalid(error: &ValidationError<'_>) -> InvalidSchema {
    let pointer = error.instance_path().to_string();
    let message = match (pointer.ends_with("/type") || pointer == "/type", error.kind()) {
        // The metaschema would say "not valid under any of the schemas listed in the 'anyOf' keyword".
        (true, ValidationErrorKind::AnyOf { .. }) => {
            format!("{} is not a type (array, boolean, integer, null, number, object, string)", error.instance())
        }
        _ => error.to_string(),
    };
    InvalidSchema { pointer, message }
}

fn misfit(error: &ValidationError<'_>) -> Misfit {
    let pointer = error.instance_path().to_string();
    let found = || kind_at(error.instance()).to_owned();
    match error.kind() {
        ValidationErrorKind::Type { kind } => Misfit::new(pointer, types(kind), found()),
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let inside = pointer + &json_pointer::segment(name);
            Misfit::new(inside, "a value (it is required)".to_owned(), "nothing".to_owned())
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| format!("`{name}`")).collect();
            Misfit::new(pointer, "only the members that the schema names".to_owned(), names.join(", "))
        }
        ValidationErrorKind::Enum { options } => Misfit::new(pointer, format!("one of {options}"), found()),
        ValidationErrorKind::Constant { expected_value } => Misfit::new(pointer, expected_value.to_string(), found()),
        _ => {
            let place = if pointer.is_empty() { String::new() } else { format!("`{pointer}`: ") };
            let keyword = error.kind().keyword().to_owned();
            let message = format!("{place}{}", error.masked_with("the value"));
            Misfit { pointer, expected: keyword, found: found(), message }
        }
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(several) => several.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
    }
}

fn kind_at(json: &Json) -> &'static str {
    match json {
        Json::Null => Kind::Null,
        Json::Bool(_) => Kind::Bool,
        Json::Number(_) => Kind::Number,
        Json::String(_) => Kind::String,
        Json::Array(_) => Kind::Array,
        Json::Object(_) => Kind::Object,
    }
    .name()
}
