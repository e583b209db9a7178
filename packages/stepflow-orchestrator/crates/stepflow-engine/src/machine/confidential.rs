//! Errors without the secrets of the step that failed: a journal is read by more people than a component's input.

use stepflow_flow::Mask;
use stepflow_protocol::FlowError;

use super::given::{Given, plan_of};
use super::state::RunTree;
use crate::event::{StepRef, ValueRef};

/// The error of a step with this input, as it may be shown. A sub-run knows what the steps around it were given: their
/// secrets are hidden, too.
pub(super) fn shown(
    state: &RunTree,
    at: StepRef,
    input: Option<&ValueRef>,
    error: FlowError,
    given: &Given<'_>,
) -> FlowError {
    let mut mask = Mask::default();
    let mut next = Some((at, input));
    while let Some((at, input)) = next {
        let Some(run) = state.runs.get(&at.run) else { break };
        if let Some(plan) = plan_of(given.world, state, at.run) {
            let step = plan.steps.get(at.step as usize).filter(|step| !step.secrets.is_none());
            if let (Some(step), Some(input)) = (step, input.and_then(|input| given.values.get(input))) {
                mask.add(&step.secrets, &input);
            }
            if let Some(variables) = &run.variables {
                mask.add(plan.variable_secrets(), variables);
            }
        }
        next = run.parent.map(|parent| (parent, state.step(parent).and_then(|step| step.input.as_ref())));
    }
    mask.error(error)
}
