//! Finds what an expression needs next, without building its value.

use std::collections::BTreeSet;

use super::build::{self, Built};
use super::{Expr, ExprNode, Found, Place, Scope, StepIndex, StepState, VariableRef};

/// What is needed before there can be a value. `missing` has only values that *decide* what else is needed; values that
/// are only a part of the result are requested when it is built.
#[derive(Default)]
pub(super) struct Needs {
    pub pending: BTreeSet<StepIndex>,
    pub missing: BTreeSet<Place>,
}

impl Needs {
    fn none(&self) -> bool {
        self.pending.is_empty() && self.missing.is_empty()
    }

    fn absorb(&mut self, other: Needs) {
        self.pending.extend(other.pending);
        self.missing.extend(other.missing);
    }
}

pub(super) fn survey(expr: &Expr, scope: &dyn Scope) -> Needs {
    let mut needs = Needs::default();
    match &expr.0 {
        ExprNode::Literal(_) | ExprNode::Input(_) => {}
        ExprNode::Step { step, .. } => {
            if matches!(scope.step(*step), StepState::Open) {
                needs.pending.insert(*step);
            }
        }
        ExprNode::Variable(variable) => needs = survey_variable(variable, scope),
        ExprNode::If(choice) => {
            needs = survey(&choice.condition, scope);
            if needs.none() {
                match build::condition(&choice.condition, scope) {
                    Ok(true) => needs = survey(&choice.then, scope),
                    Ok(false) => {
                        needs = choice.otherwise.as_ref().map_or_else(Needs::default, |expr| survey(expr, scope))
                    }
                    Err(places) => needs.missing = places,
                }
            }
        }
        ExprNode::Coalesce(items) => needs = survey_coalesce(items, scope),
        ExprNode::Array(items) => items.iter().for_each(|item| needs.absorb(survey(item, scope))),
        ExprNode::Object(members) => members.iter().for_each(|(_, member)| needs.absorb(survey(member, scope))),
    }
    needs
}

/// Goes on to the next entry only when this one is known to be null.
fn survey_coalesce(items: &[Expr], scope: &dyn Scope) -> Needs {
    for (index, item) in items.iter().enumerate() {
        let needs = survey(item, scope);
        if !needs.none() || index + 1 == items.len() {
            return needs;
        }
        match build::build(item, scope) {
            Built::Value(value) if value.is_null() => {}
            Built::Value(_) | Built::Failed { .. } => return Needs::default(),
            Built::Missing(places) => return Needs { missing: places, ..Needs::default() },
        }
    }
    Needs::default()
}

/// The inline default is used only when the variable has no value.
fn survey_variable(variable: &VariableRef, scope: &dyn Scope) -> Needs {
    let Some(default) = &variable.default else { return Needs::default() };
    match scope.variable(&variable.name) {
        Some(Found::Here(value)) if value.lookup(variable.path.segments()).is_some() => Needs::default(),
        Some(Found::Away) if variable.path.is_root() => Needs::default(),
        Some(Found::Away) => {
            Needs { missing: BTreeSet::from([Place::Variable(variable.name.clone())]), ..Needs::default() }
        }
        None if variable.declared.as_ref().is_some_and(|value| value.lookup(variable.path.segments()).is_some()) => {
            Needs::default()
        }
        Some(Found::Here(_)) | None => survey(default, scope),
    }
}
