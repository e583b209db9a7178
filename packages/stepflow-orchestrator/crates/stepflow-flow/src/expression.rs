//! Expressions as an author writes them: steps by name, and paths parsed. [`crate::Expr`] is the compiled form.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use stepflow_protocol::Value;

use crate::path::Path;

/// A template of a JSON value: constants, references and choices.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A constant in which nothing is an expression.
    Literal(Value),
    /// `{$literal: …}`: a constant, even if it looks like an expression.
    Escaped(Value),
    /// `{$input: path}`: a part of the item's input.
    Input(Path),
    /// `{$step: id, path: …}`: a part of a step's result.
    Step {
        /// The step's id.
        step: String,
        /// Where to look in the result.
        path: Path,
    },
    /// `{$variable: path, default: …}`: a part of a variable.
    Variable {
        /// The variable's name.
        name: String,
        /// Where to look in the variable.
        path: Path,
        /// The value when the variable has none there.
        default: Option<Box<Expression>>,
    },
    /// `{$if: …, then: …, else: …}`
    If {
        /// The condition: everything except `null`, `false` and a failure is true.
        condition: Box<Expression>,
        /// The value when it is true.
        then: Box<Expression>,
        /// The value when it is not; `null` when there is none.
        otherwise: Option<Box<Expression>>,
    },
    /// `{$coalesce: […]}`: the first that is not `null`.
    Coalesce(Vec<Expression>),
    /// An array with an expression somewhere in it.
    Array(Vec<Expression>),
    /// An object with an expression somewhere in it; members in the author's order.
    Object(Vec<(String, Expression)>),
}

impl Expression {
    /// The constant `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::Literal(Value::null())
    }

    /// Whether this is the constant `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Literal(value) if value.is_null())
    }

    /// Calls `visit` for every reference in this expression, with its path. The path begins with `at`.
    pub(crate) fn references<'a>(&'a self, at: &mut Path, visit: &mut dyn FnMut(&Path, Reference<'a>)) {
        match self {
            Self::Literal(_) | Self::Escaped(_) => {}
            Self::Input(path) => visit(at, Reference::Input(path)),
            Self::Step { step, .. } => visit(at, Reference::Step(step)),
            Self::Variable { name, path, default } => {
                visit(at, Reference::Variable { name, path, has_default: default.is_some() });
                if let Some(default) = default {
                    at_field(at, "default", |at| default.references(at, visit));
                }
            }
            Self::If { condition, then, otherwise } => {
                at_field(at, "condition", |at| condition.references(at, visit));
                at_field(at, "then", |at| then.references(at, visit));
                if let Some(otherwise) = otherwise {
                    at_field(at, "else", |at| otherwise.references(at, visit));
                }
            }
            Self::Coalesce(items) | Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    at.push_index(index);
                    item.references(at, visit);
                    at.pop();
                }
            }
            Self::Object(members) => {
                for (key, member) in members {
                    at_field(at, key, |at| member.references(at, visit));
                }
            }
        }
    }
}

fn at_field(at: &mut Path, name: &str, go: impl FnOnce(&mut Path)) {
    at.push(crate::path::Segment::Field(name.to_owned()));
    go(at);
    at.pop();
}

impl Default for Expression {
    fn default() -> Self {
        Self::null()
    }
}

/// What an expression refers to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reference<'a> {
    Step(&'a str),
    Input(&'a Path),
    Variable { name: &'a str, path: &'a Path, has_default: bool },
}

impl JsonSchema for Expression {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Any JSON value is an expression: a constant is its own value.
        json_schema!(true)
    }
}
