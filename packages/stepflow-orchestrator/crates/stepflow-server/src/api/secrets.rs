//! Hides secrets in the values of a run. Nobody may see them yet, because there are no tokens.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_engine::event::{Event, Record, StepRef, ValueRef};
use stepflow_flow::{Mask, Plan, Secrets};
use stepflow_protocol::{FlowResult, RunId};
use stepflow_store::{ItemRow, MemoryStore, RunRow};

use super::error::Error;

/// The query of a route that shows values of a run and has no other parameters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretsQuery {
    /// Whether to show secret values. This needs a token that may read them.
    pub secrets: Option<bool>,
}

/// Refuses a request for secret values. It needs a token with `secrets: true`, and there are no tokens until `auth` is
/// built.
pub fn refuse(asked: Option<bool>) -> Result<(), Error> {
    if asked.unwrap_or(false) { Err(Error::secrets_without_tokens()) } else { Ok(()) }
}

/// The items of a run, with the secrets in their outputs hidden.
pub fn shown_items(store: &MemoryStore, row: &RunRow) -> Result<Vec<ItemRow>, Error> {
    let plan = plan_of(store, row.run)?;
    let (secrets, mask) = match row.parent {
        None => (plan.output_secrets().clone(), Mask::default()),
        Some(_) => {
            let outer = OuterSecrets::of(store, row)?;
            (plan.output_secrets_with(outer.variables), outer.mask)
        }
    };
    let shown = |result| match result {
        FlowResult::Success(output) => FlowResult::Success(mask.value(&secrets.redact(&output))),
        failed @ FlowResult::Failed(_) => failed,
    };
    let items = store.items(row.run).into_iter();
    Ok(items.map(|item| ItemRow { result: item.result.map(shown), ..item }).collect())
}

/// What is secret in the runs above a sub-run. The sub-run inherits their variables, and their other secret values may
/// be anywhere in its output.
#[derive(Default)]
struct OuterSecrets {
    variables: Secrets,
    mask: Mask,
}

impl OuterSecrets {
    fn of(store: &MemoryStore, row: &RunRow) -> Result<Self, Error> {
        let mut outer = Self::default();
        let records = store.journal(row.root).unwrap_or_default();
        let created = |run: RunId| {
            records.iter().find_map(|record| match &record.event {
                Event::RunCreated(created) if created.run == run => Some(created),
                _ => None,
            })
        };
        let mut below = created(row.run);
        while let Some(run) = below
            && let Some(above) = run.above()
        {
            let plan = plan_of(store, above)?;
            below = created(above);
            outer.variables = outer.variables.and(plan.variable_secrets().clone());
            plan.hide_variables(below.and_then(|above| above.variables.as_ref()), &mut outer.mask);
            // If it is not known which step asked for the sub-run, take all steps.
            let asked = |at: StepRef| at.run == above && run.parent.is_none_or(|step| step == at);
            let items = run.parent.map_or(0..below.map_or(0, |above| above.items), |step| step.item..step.item + 1);
            for item in items.filter(|_| !plan.input_secrets().is_none()) {
                if let Some(input) = store.value(row.root, &ValueRef::Item(above, item)) {
                    outer.mask.add(plan.input_secrets(), &input);
                }
            }
            for (at, input) in records.iter().filter_map(|record| step_input(record)).filter(|(at, _)| asked(*at)) {
                let step = plan.steps.get(at.step as usize).filter(|step| !step.secrets.is_none());
                if let Some((step, input)) = step.zip(store.value(row.root, input)) {
                    outer.mask.add(&step.secrets, &input);
                }
            }
        }
        Ok(outer)
    }
}

/// The input of a step, if the record has it.
fn step_input(record: &Record) -> Option<(StepRef, &ValueRef)> {
    match &record.event {
        Event::StepScheduled(scheduled) => Some((scheduled.step, &scheduled.input)),
        Event::RunCreated(created) => Some((created.parent?, &created.nested.as_ref()?.step_input)),
        _ => None,
    }
}

fn plan_of(store: &MemoryStore, run: RunId) -> Result<Arc<Plan>, Error> {
    store.plan(run).ok_or_else(|| Error::internal("the run's flow is gone"))
}
