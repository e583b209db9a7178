//! The steps of a run: how far each is, read from the run's journal.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepflow_engine::event::{Outcome, StepRef};
use stepflow_engine::{StepChange, StepProgress};
use stepflow_flow::Plan;
use stepflow_protocol::{FlowResult, RunId, StepStatus};

use super::Shared;
use super::envelope::Id;
use super::error::Error;
use super::query::Query;
use super::secrets::{self, Redaction};
use crate::store::Store;

/// `GET /runs/{run_id}/steps`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StepsQuery {
    /// The item, counted from 0. Without it a step of a batch is as far as the one that needs most attention.
    item_index: Option<u32>,
    /// With what the steps returned.
    include_outputs: Option<bool>,
    /// With secret values as they are: for a token that may read them.
    secrets: Option<bool>,
}

/// The steps of a run, by id, in the order of the flow.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Steps {
    #[schemars(with = "BTreeMap<String, Step>")]
    steps: IndexMap<String, Step>,
}

/// A step of an item, or of all items.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    step_id: String,
    component: String,
    status: StepStatus,
    /// The most attempts that one item has made.
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    scheduled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    completed_at: Option<Timestamp>,
    /// Of one item: its error, or with `includeOutputs` its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<FlowResult>,
}

/// `GET /runs/{run_id}/steps`
pub async fn list(
    State(service): State<Shared>,
    Id(run): Id<RunId>,
    Query(query): Query<StepsQuery>,
) -> Result<Json<Steps>, Error> {
    secrets::refuse(query.secrets)?;
    let store = &service.store;
    let row = store.queries.run(run).await?.ok_or_else(|| Error::not_found("run", run))?;
    let plan = store.queries.plan(run).await?.ok_or_else(|| Error::internal("the run's flow is gone"))?;
    let mut steps = plan_steps(&plan);
    let item = query.item_index.or((row.items.total == 1).then_some(0));
    let Some(item) = item else {
        for (at, progress) in progress(store, row.root, run).await? {
            if let Some((_, step)) = steps.get_index_mut(at.step as usize) {
                step.add(&progress);
            }
        }
        return Ok(Json(Steps { steps }));
    };
    if item >= row.items.total {
        return Err(Error::not_found("item", item));
    }
    let shows_outputs = query.include_outputs.unwrap_or(false);
    let redaction = if shows_outputs { Some(Redaction::of(store, &row).await?) } else { None };
    for told in store.queries.steps(run, item).await? {
        let result = match told.result {
            Some(Outcome::Failed(error)) => Some(FlowResult::Failed(error)),
            Some(Outcome::Success(place)) => match &redaction {
                Some(redaction) => {
                    let output = store.value(row.root, place).await?;
                    let output = output.ok_or_else(|| Error::internal("an output is gone"))?;
                    Some(FlowResult::Success(redaction.step_output(&output)))
                }
                None => None,
            },
            None => None,
        };
        if let Some((_, step)) = steps.get_index_mut(told.step as usize) {
            step.status = told.status;
            step.attempts = told.attempts;
            step.scheduled_at = Some(told.scheduled_at);
            step.completed_at = told.ended_at;
            step.result = result;
        }
    }
    Ok(Json(Steps { steps }))
}

fn plan_steps(plan: &Plan) -> IndexMap<String, Step> {
    let steps = plan.steps.iter().map(|step| Step {
        step_id: step.id.clone(),
        component: step.component.clone(),
        status: StepStatus::Blocked,
        attempts: 0,
        scheduled_at: None,
        completed_at: None,
        result: None,
    });
    steps.map(|step| (step.step_id.clone(), step)).collect()
}

/// The state of a run's steps over all items, for the steps that have events.
async fn progress(store: &Store, root: RunId, run: RunId) -> Result<BTreeMap<StepRef, StepProgress>, Error> {
    let mut steps = BTreeMap::new();
    let mut pages = store.records(root);
    while let Some(page) = pages.next().await? {
        for record in page {
            if let Some((at, change)) = StepChange::of(&record.event).filter(|(at, _)| at.run == run) {
                steps.entry(at).or_insert_with(|| StepProgress::new(record.at)).apply(&change, record.at);
            }
        }
    }
    Ok(steps)
}

impl Step {
    /// Adds a step of one item. The first one is taken as it is.
    fn add(&mut self, one: &StepProgress) {
        let first = self.scheduled_at.is_none();
        if first || urgency(one.status) > urgency(self.status) {
            self.status = one.status;
        }
        self.attempts = self.attempts.max(one.attempts);
        self.scheduled_at = Some(self.scheduled_at.map_or(one.scheduled_at, |at| at.min(one.scheduled_at)));
        self.completed_at = match (first, self.completed_at, one.ended_at) {
            (true, _, at) => at,
            (false, Some(before), Some(at)) => Some(before.max(at)),
            (false, ..) => None,
        };
    }
}

/// Which of two states of a step is shown for a batch: failed, running, runnable, blocked, completed.
fn urgency(status: StepStatus) -> u8 {
    match status {
        StepStatus::Completed => 0,
        StepStatus::Blocked => 1,
        StepStatus::Runnable => 2,
        StepStatus::Running => 3,
        StepStatus::Failed => 4,
    }
}
