//! The requests of published workers up to 0.7 about flows: `flows/evaluate`, `flows/get_metadata`,
//! `flows/submit_batch`, `flows/get_batch`. Their members are snake_case; a batch is a run.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stepflow_protocol::{
    BlobType, ExecutionStatus, FlowId, FlowResult, ObservabilityContext, ResultOrder, RpcError, RunId,
    RunStatusProtocol, Value, rpc_error_codes,
};

use super::asker::Asker;
use super::{Requests, id_in, invalid, of_runs, of_store, read, refused, result};
use crate::blob_content::blob;
use crate::served::RunRequest;

#[derive(Deserialize)]
struct EvaluateParams {
    #[serde(default)]
    flow_id: Option<FlowId>,
    /// As workers before 0.7 sent it.
    #[serde(default)]
    flow: Option<Value>,
    input: Value,
    #[serde(default)]
    observability: Option<ObservabilityContext>,
}

#[derive(Serialize)]
struct EvaluateResult {
    result: FlowResult,
}

#[derive(Deserialize)]
struct MetadataParams {
    flow_id: FlowId,
    #[serde(default)]
    step_id: Option<String>,
}

#[derive(Serialize)]
struct MetadataResult<'a> {
    flow_metadata: &'a IndexMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_metadata: Option<&'a IndexMap<String, Value>>,
}

#[derive(Deserialize)]
struct SubmitBatchParams {
    flow_id: FlowId,
    inputs: Vec<Value>,
    #[serde(default)]
    max_concurrency: Option<u32>,
    #[serde(default)]
    observability: Option<ObservabilityContext>,
}

#[derive(Serialize)]
struct SubmitBatchResult {
    batch_id: RunId,
    total_runs: u32,
}

#[derive(Deserialize)]
struct GetBatchParams {
    batch_id: RunId,
    #[serde(default)]
    wait: Option<bool>,
    #[serde(default)]
    include_results: Option<bool>,
    #[serde(default)]
    observability: Option<ObservabilityContext>,
}

#[derive(Serialize)]
struct GetBatchResult {
    details: BatchDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<BatchOutput>>,
}

#[derive(Serialize)]
struct BatchDetails {
    batch_id: RunId,
    flow_id: FlowId,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_name: Option<String>,
    total_runs: u32,
    /// Always `running`, as those workers expect; `completed_at` says whether all have ended.
    status: &'static str,
    created_at: Timestamp,
    completed_runs: u32,
    running_runs: u32,
    failed_runs: u32,
    cancelled_runs: u32,
    paused_runs: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct BatchOutput {
    batch_input_index: u32,
    status: ExecutionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<FlowResult>,
}

impl Requests<'_> {
    pub(super) async fn evaluate_flow(&self, params: &Value) -> Result<Box<RawValue>, RpcError> {
        id_in::<FlowId>(params, "flow_id")?;
        let EvaluateParams { flow_id, flow, input, observability } = read(params)?;
        let flow_id = match (flow_id, flow.filter(|flow| !flow.is_null())) {
            (Some(id), _) => id,
            (None, Some(data)) => {
                let blob = blob(data, BlobType::Flow).map_err(invalid)?;
                self.served.blobs.put(blob).await.map_err(of_store)?
            }
            (None, None) => return Err(invalid("`flow_id` is missing")),
        };
        let asker = self.asker(params, None, observability.as_ref())?;
        let run = self.submit_legacy(asker, flow_id, vec![input], None).await?;
        let ended = self.ended(run, asker.attempt(), Some(ResultOrder::ByIndex)).await?;
        let first = ended.results.unwrap_or_default().into_iter().next().and_then(|item| item.result);
        let lost = || refused(rpc_error_codes::SERVER_ERROR, format!("the result of run `{run}` is gone"));
        result(&EvaluateResult { result: first.ok_or_else(lost)? })
    }

    pub(super) async fn get_metadata(&self, params: &Value) -> Result<Box<RawValue>, RpcError> {
        id_in::<FlowId>(params, "flow_id")?;
        let MetadataParams { flow_id, step_id } = read(params)?;
        self.executes.turn().await;
        let plan = self.served.runs.flow(flow_id).await.map_err(of_runs)?;
        let step = step_id.map(|id| {
            let step = plan.flow.steps.iter().find(|step| step.id == id);
            step.ok_or_else(|| {
                refused(rpc_error_codes::NOT_FOUND, format!("there is no step `{id}` in flow `{flow_id}`"))
            })
        });
        let step_metadata = step.transpose()?.map(|step| &step.metadata);
        result(&MetadataResult { flow_metadata: &plan.flow.metadata, step_metadata })
    }

    pub(super) async fn submit_batch(&self, params: &Value) -> Result<Box<RawValue>, RpcError> {
        id_in::<FlowId>(params, "flow_id")?;
        let SubmitBatchParams { flow_id, inputs, max_concurrency, observability } = read(params)?;
        let asker = self.asker(params, None, observability.as_ref())?;
        let total_runs = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
        let batch_id = self.submit_legacy(asker, flow_id, inputs, max_concurrency).await?;
        result(&SubmitBatchResult { batch_id, total_runs })
    }

    pub(super) async fn get_batch(&self, params: &Value) -> Result<Box<RawValue>, RpcError> {
        id_in::<RunId>(params, "batch_id")?;
        let GetBatchParams { batch_id, wait, include_results, observability } = read(params)?;
        let asker = self.asker(params, None, observability.as_ref())?;
        let results = include_results.unwrap_or(false).then_some(ResultOrder::ByIndex);
        let status = match wait {
            Some(true) => self.ended(batch_id, asker.attempt(), results).await?,
            _ => self.status(batch_id, results).await?,
        };
        result(&GetBatchResult::from(status))
    }

    async fn submit_legacy(
        &self,
        asker: Asker,
        flow_id: FlowId,
        inputs: Vec<Value>,
        max_concurrency: Option<u32>,
    ) -> Result<RunId, RpcError> {
        let origin = asker.origin(None, false);
        let request = RunRequest { flow_id, inputs, overrides: None, max_concurrency, origin: origin? };
        self.served.runs.submit(request).await.map_err(of_runs)
    }
}

impl From<RunStatusProtocol> for GetBatchResult {
    fn from(run: RunStatusProtocol) -> Self {
        let outputs = run.results.map(|items| {
            let output = |item: stepflow_protocol::ItemResult| BatchOutput {
                batch_input_index: item.item_index,
                status: item.status,
                result: item.result,
            };
            items.into_iter().map(output).collect()
        });
        let details = BatchDetails {
            batch_id: run.run_id,
            flow_id: run.flow_id,
            flow_name: run.flow_name,
            total_runs: run.items.total,
            status: if run.status == ExecutionStatus::Cancelled { "cancelled" } else { "running" },
            created_at: run.created_at,
            completed_runs: run.items.completed,
            running_runs: run.items.running,
            failed_runs: run.items.failed,
            cancelled_runs: run.items.cancelled,
            paused_runs: 0,
            completed_at: run.completed_at,
        };
        Self { details, outputs }
    }
}
