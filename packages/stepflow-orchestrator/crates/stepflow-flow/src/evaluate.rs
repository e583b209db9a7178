//! Compiled expressions: what an expression needs next, and then its value.
//!
//! [`Expr::evaluate`] first looks for the unfinished steps that are needed next (an `$if` and a `$coalesce` show them
//! one after the other), and builds the value only when there are none.

mod build;
mod survey;

use std::sync::Arc;

pub use build::MAX_BUILT;
use stepflow_protocol::{FlowError, Value};

use crate::path::Path;

/// The index of a step in its flow, counted from 0.
pub type StepIndex = usize;

/// An expression whose constants are built, whose paths are parsed and whose steps are indices.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr(pub(crate) ExprNode);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExprNode {
    Literal(Value),
    Input(Path),
    Step { step: StepIndex, id: Arc<str>, path: Path },
    Variable(Box<VariableRef>),
    If(Box<Choice>),
    Coalesce(Vec<Expr>),
    Array(Vec<Expr>),
    Object(Vec<(String, Expr)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VariableRef {
    pub name: String,
    pub path: Path,
    /// The default in the flow's variable schema; it is used before the inline one.
    pub declared: Option<Value>,
    pub default: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub condition: Expr,
    pub then: Expr,
    pub otherwise: Option<Expr>,
}

/// What an expression can see: the values of one item of a run.
pub trait Scope {
    /// The item's input.
    fn input(&self) -> Found;
    /// The state of a step, and its result.
    fn step(&self, step: StepIndex) -> StepState;
    /// A variable that was given to the run; `None` when it was not (the expression knows the defaults).
    fn variable(&self, name: &str) -> Option<Found>;
}

/// A value that exists.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It is in memory.
    Here(Value),
    /// It is not in memory now; it can be loaded.
    Away,
}

/// The state of a step of an item.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// Not finished.
    Open,
    /// Finished with this result.
    Value(Value),
    /// Finished with a result that is not in memory now.
    Away,
    /// Finished with a failure.
    Failed(FlowError),
}

/// Something that is to be loaded into memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The item's input.
    Input,
    /// The result of a step.
    Step(StepIndex),
    /// A variable of the run.
    Variable(String),
}

/// The result of evaluating an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluated {
    /// Its value.
    Value(Value),
    /// It has none.
    Failed {
        /// Why; the error of `step` unchanged when it comes from there.
        error: FlowError,
        /// The step that failed; `None` when the error is in the expression itself.
        step: Option<StepIndex>,
    },
    /// These unfinished steps are needed next: sorted, each once. More may follow when they are finished.
    Pending(Vec<StepIndex>),
    /// These values must be in memory before it can go on: sorted, each once.
    Missing(Vec<Place>),
}

impl Expr {
    /// The value of this expression, or why there is none yet. Pure: equal scopes give equal results.
    #[must_use]
    pub fn evaluate(&self, scope: &dyn Scope) -> Evaluated {
        let needs = survey::survey(self, scope);
        if !needs.missing.is_empty() {
            Evaluated::Missing(needs.missing.into_iter().collect())
        } else if !needs.pending.is_empty() {
            Evaluated::Pending(needs.pending.into_iter().collect())
        } else {
            match build::build(self, scope) {
                build::Built::Value(value) => match build::too_deep(self, &value) {
                    None => Evaluated::Value(value),
                    Some(error) => Evaluated::Failed { error, step: None },
                },
                build::Built::Failed { error, step } => Evaluated::Failed { error, step },
                build::Built::Missing(places) => Evaluated::Missing(places.into_iter().collect()),
            }
        }
    }

    /// The place whose whole value this expression has, when it only points there.
    #[must_use]
    pub fn pointer(&self) -> Option<Place> {
        match &self.0 {
            ExprNode::Input(path) if path.is_root() => Some(Place::Input),
            ExprNode::Step { step, path, .. } if path.is_root() => Some(Place::Step(*step)),
            _ => None,
        }
    }

    /// The constant, if this expression is one.
    #[must_use]
    pub fn literal(&self) -> Option<&Value> {
        match &self.0 {
            ExprNode::Literal(value) => Some(value),
            _ => None,
        }
    }
}
