//! What may be shown of a run: secrets to nobody, because no token says otherwise.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_engine::event::{Event, Record, StepRef, ValueRef};
use stepflow_engine::ports::Journal as _;
use stepflow_flow::{Mask, Plan, Secrets};
use stepflow_protocol::{FlowResult, RunId};
use stepflow_store::{ItemRow, MemoryStore, RunRow};

use super::error::Error;

/// The query of a route that shows values of a run and asks nothing else.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretsQuery {
    /// With secret values as they are: for a token that may read them.
    pub secrets: Option<bool>,
}

/// Refuses a request for secret values. They are for tokens with `secrets: true`, and a server has none before `auth` is
/// built.
pub fn refuse(asked: Option<bool>) -> Result<(), Error> {
    if asked.unwrap_or(false) { Err(Error::secrets_without_tokens()) } else { Ok(()) }
}

/// The items of a run with their outputs as they may be shown.
pub async fn shown_items(store: &MemoryStore, row: &RunRow) -> Result<Vec<ItemRow>, Error> {
    let plan = plan_of(store, row.run)?;
    let (secrets, mask) = match row.parent {
        None => (plan.output_secrets().clone(), Mask::default()),
        Some(_) => {
            let around = Around::of(store, row).await?;
            (plan.output_secrets_with(around.variables), around.mask)
        }
    };
    let shown = |result| match result {
        FlowResult::Success(output) => FlowResult::Success(mask.value(&secrets.redact(&output))),
        failed @ FlowResult::Failed(_) => failed,
    };
    let items = store.items(row.run).into_iter();
    Ok(items.map(|item| ItemRow { result: item.result.map(shown), ..item }).collect())
}

/// What is secret around a sub-run. Its variables are inherited; what else it was given may stand anywhere in it.
#[derive(Default)]
struct Around {
    variables: Secrets,
    mask: Mask,
}

impl Around {
    async fn of(store: &MemoryStore, row: &RunRow) -> Result<Self, Error> {
        let mut around = Self::default();
        let records = store.read(row.root, 0).await?;
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
            around.variables = around.variables.and(plan.variable_secrets().clone());
            plan.hide_variables(below.and_then(|above| above.variables.as_ref()), &mut around.mask);
            // Where nobody can tell which step asked for it, it was any.
            let asked = |at: StepRef| at.run == above && run.parent.is_none_or(|step| step == at);
            let items = run.parent.map_or(0..below.map_or(0, |above| above.items), |step| step.item..step.item + 1);
            for item in items.filter(|_| !plan.input_secrets().is_none()) {
                let input = store.value(row.root, &ValueRef::Item(above, item)).await?;
                around.mask.add(plan.input_secrets(), &input);
            }
            for (at, input) in records.iter().filter_map(step_input).filter(|(at, _)| asked(*at)) {
                let step = plan.steps.get(at.step as usize).filter(|step| !step.secrets.is_none());
                if let Some(step) = step {
                    around.mask.add(&step.secrets, &store.value(row.root, input).await?);
                }
            }
        }
        Ok(around)
    }
}

/// What a step was given, where a record says so.
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
