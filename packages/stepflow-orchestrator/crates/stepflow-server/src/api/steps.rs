//! The steps of a run: how far each is, read from the run's journal.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepflow_engine::event::{Event, Outcome, Record, StepRef, ValueRef};
use stepflow_engine::ports::Journal;
use stepflow_flow::Plan;
use stepflow_protocol::{FlowError, FlowResult, RunId, StepStatus};

use super::Shared;
use super::envelope::Id;
use super::error::Error;
use super::query::Query;
use super::secrets;

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

/// How far a step of one item is.
#[derive(Debug)]
struct Progress {
    status: StepStatus,
    attempts: u32,
    scheduled_at: Timestamp,
    completed_at: Option<Timestamp>,
    end: Option<Result<ValueRef, FlowError>>,
}

/// `GET /runs/{run_id}/steps`
pub async fn list(
    State(service): State<Shared>,
    Id(run): Id<RunId>,
    Query(query): Query<StepsQuery>,
) -> Result<Json<Steps>, Error> {
    secrets::refuse(query.secrets)?;
    let row = service.store.run(run).ok_or_else(|| Error::not_found("run", run))?;
    let plan = service.store.plan(run).ok_or_else(|| Error::internal("the run's flow is gone"))?;
    let item = query.item_index.or((row.items.total == 1).then_some(0));
    if let Some(item) = item.filter(|item| *item >= row.items.total) {
        return Err(Error::not_found("item", item));
    }
    let records = service.store.read(row.root, 0).await?;
    let places = progress(&records, run, item);
    let mut steps = plan_steps(&plan);
    for (at, progress) in &places {
        if let Some((_, step)) = steps.get_index_mut(at.step as usize) {
            step.add(progress);
        }
    }
    if item.is_some() {
        for (at, progress) in places {
            let result = match progress.end {
                Some(Err(error)) => FlowResult::Failed(error),
                Some(Ok(place)) if query.include_outputs.unwrap_or(false) => {
                    FlowResult::Success(service.store.value(row.root, &place).await?)
                }
                _ => continue,
            };
            if let Some((_, step)) = steps.get_index_mut(at.step as usize) {
                step.result = Some(result);
            }
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

/// How far the steps of a run are of which something has happened; of all items or of one.
fn progress(records: &[Record], run: RunId, item: Option<u32>) -> BTreeMap<StepRef, Progress> {
    let mut steps: BTreeMap<StepRef, Progress> = BTreeMap::new();
    let asked = |at: &StepRef| at.run == run && item.is_none_or(|item| item == at.item);
    for record in records {
        // Control flow has no attempts in the journal: it runs from when it began, and again after a retry.
        let mut begun = |at: StepRef| {
            if asked(&at) {
                let step = steps.entry(at).or_insert_with(|| Progress::at(record.at));
                step.attempts += u32::from(step.status == StepStatus::Runnable);
                step.status = StepStatus::Running;
            }
        };
        match &record.event {
            Event::TimerStarted(timer) => begun(timer.step),
            Event::RunCreated(created) => created.parent.into_iter().for_each(&mut begun),
            Event::StepScheduled(scheduled) if asked(&scheduled.step) => {
                let step = steps.entry(scheduled.step).or_insert_with(|| Progress::at(record.at));
                (step.status, step.attempts) = (StepStatus::Runnable, scheduled.task.attempt);
            }
            Event::StepRetryScheduled(retry) if asked(&retry.step) => {
                if let Some(step) = steps.get_mut(&retry.step) {
                    step.status = StepStatus::Runnable;
                }
            }
            Event::StepEnded(ended) if asked(&ended.step) => {
                let step = steps.entry(ended.step).or_insert_with(|| Progress::at(record.at));
                step.completed_at = Some(record.at);
                (step.status, step.end) = match &ended.result {
                    Outcome::Success(place) => (StepStatus::Completed, Some(Ok(place.clone()))),
                    Outcome::Failed(error) => (StepStatus::Failed, Some(Err(error.clone()))),
                };
            }
            _ => {}
        }
    }
    steps
}

impl Progress {
    fn at(when: Timestamp) -> Self {
        Self { status: StepStatus::Runnable, attempts: 0, scheduled_at: when, completed_at: None, end: None }
    }
}

impl Step {
    /// Takes over what one item says. The first one is taken as it is.
    fn add(&mut self, one: &Progress) {
        let first = self.scheduled_at.is_none();
        if first || urgency(one.status) > urgency(self.status) {
            self.status = one.status;
        }
        self.attempts = self.attempts.max(one.attempts);
        self.scheduled_at = Some(self.scheduled_at.map_or(one.scheduled_at, |at| at.min(one.scheduled_at)));
        self.completed_at = match (first, self.completed_at, one.completed_at) {
            (true, _, at) => at,
            (false, Some(before), Some(at)) => Some(before.max(at)),
            (false, ..) => None,
        };
    }
}

/// Which of two items says more about a step: failed, running, runnable, blocked, completed.
fn urgency(status: StepStatus) -> u8 {
    match status {
        StepStatus::Completed => 0,
        StepStatus::Blocked => 1,
        StepStatus::Runnable => 2,
        StepStatus::Running => 3,
        StepStatus::Failed => 4,
    }
}
