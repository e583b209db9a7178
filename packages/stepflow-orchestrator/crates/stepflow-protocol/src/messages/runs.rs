//! What a worker may ask about runs. Members are camelCase here, and snake_case inside `observability` and in the
//! values of `resultOrder`, as the published 0.9 workers write them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ObservabilityContext;
use crate::{ExecutionStatus, FlowId, FlowResult, RunId, Value};

/// Params of `runs/submit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunsSubmitParams {
    /// The flow, kept before by `blobs/put`.
    pub flow_id: FlowId,
    /// One input for each item.
    pub inputs: Vec<Value>,
    /// Whether the answer waits for the run's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// How many steps of the run may be open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// Patches to the flow's steps: `{"steps": {"<id>": {"$type": "merge_patch", "value": …}}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Value>,
    /// Where the request belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<ObservabilityContext>,
    /// The task whose execute asks: the run becomes a sub-run of its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The attempt whose execute asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The caller's name for this sub-run: the task's next attempt finds the run that has it, unless that failed or was
    /// cancelled. Without one, what is asked for is the name, with how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether the run is a root run, which continues after its step has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detached: Option<bool>,
}

/// In which order results are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultOrder {
    /// As the inputs were.
    #[default]
    #[serde(alias = "byIndex", alias = "RESULT_ORDER_BY_INDEX")]
    ByIndex,
    /// As the items ended.
    #[serde(alias = "byCompletion", alias = "RESULT_ORDER_BY_COMPLETION")]
    ByCompletion,
}

/// Params of `runs/get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunsGetParams {
    /// The run.
    pub run_id: RunId,
    /// Whether the answer waits for the run's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// Whether the answer has the results of the items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_results: Option<bool>,
    /// In which order: by index when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_order: Option<ResultOrder>,
    /// Where the request belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<ObservabilityContext>,
    /// The task whose execute asks: while it waits, its slot is free for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The attempt whose execute asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// Result of `runs/submit` and `runs/get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStatusProtocol {
    /// The run.
    pub run_id: RunId,
    /// Its flow.
    pub flow_id: FlowId,
    /// The flow's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_name: Option<String>,
    /// How far it is.
    pub status: ExecutionStatus,
    /// How far its items are.
    pub items: ItemStatistics,
    /// When it was submitted.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub completed_at: Option<Timestamp>,
    /// The results of the items that have ended, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<ItemResult>>,
}

/// How many items of a run are how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemStatistics {
    /// All.
    pub total: u32,
    /// Ended with a result.
    pub completed: u32,
    /// Not ended.
    pub running: u32,
    /// Ended with an error.
    pub failed: u32,
    /// Ended because somebody asked for it.
    pub cancelled: u32,
}

/// How one item of a run is, or ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemResult {
    /// The item, counted from 0.
    pub item_index: u32,
    /// How far it is.
    pub status: ExecutionStatus,
    /// Its result, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<FlowResult>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub completed_at: Option<Timestamp>,
}
