//! Hides secrets in the values of a run. They cannot be shown yet, because there are no tokens.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_engine::event::{Event, Record, RunCreated, StepRef, ValueRef};
use stepflow_engine::ports::{ItemRow, RunRow};
use stepflow_flow::{Mask, Plan, Secrets};
use stepflow_protocol::{FlowResult, RunId, Value};

use super::error::Error;
use crate::store::Store;

/// How many values are read at once.
const VALUES: usize = 256;

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

/// Hides the secrets in the outputs of a run's items.
pub struct Redaction {
    secrets: Secrets,
    mask: Mask,
}

impl Redaction {
    /// What is to be hidden in this run.
    pub async fn of(store: &Store, row: &RunRow) -> Result<Self, Error> {
        let plan = plan_of(store, row.run).await?;
        if row.parent.is_none() {
            return Ok(Self { secrets: plan.output_secrets().clone(), mask: Mask::default() });
        }
        let outer = OuterSecrets::of(store, row).await?;
        Ok(Self { secrets: plan.output_secrets_with(outer.variables), mask: outer.mask })
    }

    /// The output of a step as it may be shown.
    pub fn step_output(&self, output: &Value) -> Value {
        self.mask.value(output)
    }

    /// The item as it may be shown.
    pub fn item(&self, item: ItemRow) -> ItemRow {
        let shown = |result| match result {
            FlowResult::Success(output) => FlowResult::Success(self.mask.value(&self.secrets.redact(&output))),
            failed @ FlowResult::Failed(_) => failed,
        };
        ItemRow { result: item.result.map(shown), ..item }
    }
}

/// The items of a run, with the secrets in their outputs hidden.
pub async fn shown_items(store: &Store, row: &RunRow) -> Result<Vec<ItemRow>, Error> {
    let redaction = Redaction::of(store, row).await?;
    let mut shown = Vec::new();
    let mut pages = store.items(row.run);
    while let Some(page) = pages.next().await? {
        shown.extend(page.into_iter().map(|item| redaction.item(item)));
    }
    Ok(shown)
}

/// One item of a run, with the secrets in its output hidden.
pub async fn shown_item(store: &Store, row: &RunRow, item: u32) -> Result<Option<ItemRow>, Error> {
    let redaction = Redaction::of(store, row).await?;
    Ok(store.item(row.run, item).await?.map(|item| redaction.item(item)))
}

/// What is secret in the runs above a sub-run. The sub-run inherits their variables, and their other secret values may
/// be anywhere in its output.
#[derive(Default)]
struct OuterSecrets {
    variables: Secrets,
    mask: Mask,
}

impl OuterSecrets {
    async fn of(store: &Store, row: &RunRow) -> Result<Self, Error> {
        let mut outer = Self::default();
        let ancestry = Ancestry::read(store, row).await?;
        let mut below = ancestry.created(row.run);
        while let Some(run) = below
            && let Some(above) = run.above()
        {
            let plan = ancestry.plans.get(&above).ok_or_else(gone)?;
            below = ancestry.created(above);
            outer.variables = outer.variables.and(plan.variable_secrets().clone());
            plan.hide_variables(below.and_then(|above| above.variables.as_ref()), &mut outer.mask);
            // If it is not known which step asked for the sub-run, take all steps.
            let asked = |at: StepRef| at.run == above && run.parent.is_none_or(|step| step == at);
            let items = run.parent.map_or(0..below.map_or(0, |above| above.items), |step| step.item..step.item + 1);
            let items = items.filter(|_| !plan.input_secrets().is_none());
            let items = items.map(|item| (plan.input_secrets(), ValueRef::Item(above, item)));
            let steps = ancestry.inputs.iter().filter(|(at, _)| asked(*at));
            let steps =
                steps.filter_map(|(at, input)| Some((&plan.steps.get(at.step as usize)?.secrets, input.clone())));
            outer.hide(store, row.root, items.chain(steps).collect()).await?;
        }
        Ok(outer)
    }

    /// Hides what is secret in the values in these places.
    async fn hide(&mut self, store: &Store, root: RunId, values: Vec<(&Secrets, ValueRef)>) -> Result<(), Error> {
        for some in values.chunks(VALUES) {
            let places = some.iter().map(|(_, place)| place.clone()).collect();
            let found = store.journal.values(root, places).await?;
            for ((secrets, _), value) in some.iter().zip(found) {
                value.iter().for_each(|value| self.mask.add(secrets, value));
            }
        }
        Ok(())
    }
}

/// A sub-run and the runs above it, as the journal of their tree tells of them.
#[derive(Default)]
struct Ancestry {
    /// The plans of the runs above.
    plans: HashMap<RunId, Arc<Plan>>,
    created: HashMap<RunId, Arc<Record>>,
    /// The inputs of the steps above in which something is secret.
    inputs: Vec<(StepRef, ValueRef)>,
}

impl Ancestry {
    async fn read(store: &Store, row: &RunRow) -> Result<Self, Error> {
        let mut ancestry = Self::default();
        let mut next = row.parent;
        while let Some(above) = next.filter(|above| !ancestry.plans.contains_key(above)) {
            ancestry.plans.insert(above, plan_of(store, above).await?);
            next = store.queries.run(above).await?.and_then(|row| row.parent);
        }
        let mut pages = store.records(row.root);
        while let Some(page) = pages.next().await? {
            page.iter().for_each(|record| ancestry.take(record, row.run));
        }
        Ok(ancestry)
    }

    fn take(&mut self, record: &Arc<Record>, run: RunId) {
        if let Event::RunCreated(created) = &record.event
            && (created.run == run || self.plans.contains_key(&created.run))
        {
            self.created.insert(created.run, Arc::clone(record));
        }
        let Some((at, input)) = step_input(record) else { return };
        let step = self.plans.get(&at.run).and_then(|plan| plan.steps.get(at.step as usize));
        if step.is_some_and(|step| !step.secrets.is_none()) {
            self.inputs.push((at, input.clone()));
        }
    }

    fn created(&self, run: RunId) -> Option<&RunCreated> {
        match &self.created.get(&run)?.event {
            Event::RunCreated(created) => Some(created),
            _ => None,
        }
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

async fn plan_of(store: &Store, run: RunId) -> Result<Arc<Plan>, Error> {
    store.queries.plan(run).await?.ok_or_else(gone)
}

fn gone() -> Error {
    Error::internal("the run's flow is gone")
}
