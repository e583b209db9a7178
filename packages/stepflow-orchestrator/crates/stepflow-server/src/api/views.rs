//! Runs and items as the API shows them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use stepflow_engine::ports::{ItemCounts, ItemRow, RunRow};
use stepflow_protocol::{ExecutionStatus, FlowId, FlowResult, RunId};

/// A run, with its results if there are any.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    run_id: RunId,
    flow_id: FlowId,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_name: Option<String>,
    status: ExecutionStatus,
    item_count: u32,
    items: ItemStatistics,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    completed_at: Option<Timestamp>,
    root_run_id: RunId,
    /// The run whose step asked for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<RunId>,
    /// The result of a run of one item, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<FlowResult>,
    /// The results of all items, if the request waited for the run and it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<ItemResult>>,
}

/// How many items have which status.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ItemStatistics {
    total: u32,
    completed: u32,
    running: u32,
    failed: u32,
    cancelled: u32,
}

/// An item of a run.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemResult {
    item_index: u32,
    status: ExecutionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<FlowResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    completed_at: Option<Timestamp>,
}

/// `GET /runs/{run_id}/items`
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Items {
    item_count: u32,
    items: Vec<ItemResult>,
}

impl Run {
    /// The run without results.
    pub fn summary(row: RunRow) -> Self {
        Self {
            run_id: row.run,
            flow_id: row.flow_id,
            flow_name: row.flow_name,
            status: row.status,
            item_count: row.items.total,
            items: row.items.into(),
            created_at: row.created_at,
            completed_at: row.ended_at,
            root_run_id: row.root,
            parent_run_id: row.parent,
            result: None,
            results: None,
        }
    }

    /// The run with the result of its only item. If the request waited for it and it has ended, the results of all items
    /// are included.
    pub fn with_results(row: RunRow, items: Vec<ItemRow>, waited: bool) -> Self {
        let ended = row.status.is_terminal();
        let result = match items.as_slice() {
            [only] => only.result.clone(),
            _ => None,
        };
        let results = (waited && ended).then(|| items.into_iter().map(Into::into).collect());
        Self { result, results, ..Self::summary(row) }
    }
}

impl Items {
    /// Some or all items of a run that has `item_count` items.
    pub fn new(item_count: u32, rows: Vec<ItemRow>) -> Self {
        Self { item_count, items: rows.into_iter().map(Into::into).collect() }
    }
}

impl From<ItemRow> for ItemResult {
    fn from(row: ItemRow) -> Self {
        Self { item_index: row.item, status: row.status, result: row.result, completed_at: row.ended_at }
    }
}

impl From<ItemCounts> for ItemStatistics {
    fn from(counts: ItemCounts) -> Self {
        let ItemCounts { total, completed, running, failed, cancelled } = counts;
        Self { total, completed, running, failed, cancelled }
    }
}
