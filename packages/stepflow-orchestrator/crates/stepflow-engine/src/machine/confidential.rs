//! Removes the secrets of the step that failed from its error: more people read a journal than see the input of a
//! component. Every text from outside is cleaned here before it becomes an event.

use stepflow_flow::{Mask, Secrets};
use stepflow_protocol::{FlowError, RunId};

use super::bounded::bounded;
use super::given::Given;
use super::state::RunTree;
use super::surroundings::{Content, Missing, Need, plan_of};
use crate::event::{StepRef, ValueRef};

/// The error of a step with this input, as it may be shown. For a sub-run the inputs of the steps around it are known,
/// and their secrets are hidden, too.
///
/// # Errors
/// [`Missing`] when a secret is not in memory: without it, it cannot be found in a text.
pub(super) fn shown(
    state: &RunTree,
    at: StepRef,
    input: Option<&ValueRef>,
    error: FlowError,
    given: &Given<'_>,
) -> Result<FlowError, Missing> {
    let mut hidden = Hidden { given, mask: Mask::default(), missing: Vec::new() };
    hidden.add_step(state, at, input)?;
    hidden.add_item(state, at.run, at.item)?;
    hidden.applied(error)
}

/// The error of an item's output, as it may be shown.
///
/// # Errors
/// As [`shown`].
pub(super) fn shown_of_item(
    state: &RunTree,
    run: RunId,
    item: u32,
    error: FlowError,
    given: &Given<'_>,
) -> Result<FlowError, Missing> {
    let mut hidden = Hidden { given, mask: Mask::default(), missing: Vec::new() };
    hidden.add_item(state, run, item)?;
    hidden.applied(error)
}

/// The texts that must not be shown.
struct Hidden<'h, 'g> {
    given: &'h Given<'g>,
    mask: Mask,
    missing: Vec<Need>,
}

impl Hidden<'_, '_> {
    fn add_step(&mut self, state: &RunTree, at: StepRef, input: Option<&ValueRef>) -> Result<(), Missing> {
        let plan = plan_of(self.given.world, state, at.run)?;
        if let (Some(step), Some(input)) = (plan.steps.get(at.step as usize), input) {
            self.add(&step.secrets, input);
        }
        Ok(())
    }

    /// The inputs of the item, and of the steps and items around it.
    fn add_item(&mut self, state: &RunTree, run: RunId, item: u32) -> Result<(), Missing> {
        let mut next = Some((run, item));
        while let Some((id, item)) = next {
            let Some(run) = state.runs.get(&id) else { break };
            let plan = plan_of(self.given.world, state, id)?;
            self.add(plan.input_secrets(), &ValueRef::Item(id, item));
            plan.hide_variables(run.variables.as_ref(), &mut self.mask);
            if let Some(around) = run.parent {
                self.add_step(state, around, state.step(around).and_then(|step| step.input.as_ref()))?;
            }
            next = run.parent.map(|around| (around.run, around.item));
        }
        Ok(())
    }

    fn add(&mut self, secrets: &Secrets, place: &ValueRef) {
        if secrets.is_none() {
            return;
        }
        match (self.given.world.value(place), place) {
            (Some(value), _) => self.mask.add(secrets, &value),
            (None, ValueRef::Blob(id)) if self.given.world.content(*id) == Content::Absent => {}
            (None, _) => self.missing.push(Need::Value(place.clone())),
        }
    }

    fn applied(self, error: FlowError) -> Result<FlowError, Missing> {
        if !self.missing.is_empty() {
            return Err(Missing(self.missing));
        }
        // Cleaned first, then cut: half a secret would not be found.
        Ok(bounded(self.mask.error(error)))
    }
}
