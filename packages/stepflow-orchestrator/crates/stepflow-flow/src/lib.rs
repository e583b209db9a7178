//! The flow language: documents with positions, expressions, plans and diagnostics.
//!
//! A [`Source`] is read into a tree of [`node::Node`]s that know their place in the text. The tree is decoded into a
//! typed [`Flow`], which is checked and compiled into a [`Plan`]; an engine evaluates the plan's [`Expr`]essions. This
//! crate does no I/O and knows no executor, and no text makes it panic.

mod canonical;
mod capped;
mod check;
mod decode;
pub mod decoder;
pub mod diagnostics;
pub mod document;
pub mod duration;
pub mod evaluate;
pub mod expression;
pub mod fix;
pub mod json_pointer;
mod load;
pub mod node;
mod number;
mod on_error_schema;
mod overrides;
pub mod palette;
pub mod path;
pub mod plan;
mod read;
mod render;
mod repair;
pub mod retry;
pub mod schema;
mod secrets;
pub mod source;
pub mod subflow;
pub mod suggest;
pub mod variables;
pub mod visible;

pub use capped::Capped;
pub use decode::backoff;
pub use decoder::{Decoder, Fields};
pub use diagnostics::{Code, Diagnostic, Diagnostics, Level};
pub use document::{Flow, Step, schema};
pub use duration::TimeSpan;
pub use evaluate::{Evaluated, Expr, Found, MAX_BUILT, Place, Scope, StepIndex, StepState};
pub use expression::Expression;
pub use fix::{Edit, Fix};
pub use load::{Loaded, load, load_routed};
pub use node::{Entry, Node};
pub use overrides::Overrides;
pub use path::Path;
pub use plan::{Plan, PlannedStep};
pub use read::{read_node, read_node_with_any_keys, read_value};
pub use retry::{Backoff, Exhausted, OnError, RetryPolicy};
pub use schema::{InvalidSchema, Misfit, Schema};
pub use secrets::{Mask, REDACTED, Secrets, WrittenSecrets};
pub use source::{Format, Position, Source, Span};
pub use variables::{Variable, Variables};
