//! The part of the state that the expressions of one item can use.

use stepflow_flow::{Found, Place, Scope, StepIndex, StepState};
use stepflow_protocol::RunId;

use super::state::{Item, Run};
use super::surroundings::{Surroundings, numbered};
use crate::event::{Outcome, ValueRef};

/// One item of a run, with access to its values.
pub(super) struct ItemScope<'a> {
    pub id: RunId,
    pub index: u32,
    pub run: &'a Run,
    pub item: &'a Item,
    pub world: &'a dyn Surroundings,
}

impl ItemScope<'_> {
    fn found(&self, place: &ValueRef) -> Found {
        self.world.value(place).map_or(Found::Away, Found::Here)
    }

    /// The place in the journal of a value that an expression needs.
    pub fn reference(&self, place: &Place) -> Option<ValueRef> {
        match place {
            Place::Input => Some(ValueRef::Item(self.id, self.index)),
            Place::Step(step) => match &self.item.steps.get(&numbered(*step))?.result {
                Some(Outcome::Success(place)) => Some(place.clone()),
                _ => None,
            },
            Place::Variable(_) => None,
        }
    }
}

impl Scope for ItemScope<'_> {
    fn input(&self) -> Found {
        self.found(&ValueRef::Item(self.id, self.index))
    }

    fn step(&self, step: StepIndex) -> StepState {
        match self.item.steps.get(&numbered(step)).and_then(|step| step.result.as_ref()) {
            None => StepState::Open,
            Some(Outcome::Failed(error)) => StepState::Failed(error.clone()),
            Some(Outcome::Success(place)) => self.world.value(place).map_or(StepState::Away, StepState::Value),
        }
    }

    fn variable(&self, name: &str) -> Option<Found> {
        self.run.variables.as_ref()?.field(name).map(Found::Here)
    }
}
