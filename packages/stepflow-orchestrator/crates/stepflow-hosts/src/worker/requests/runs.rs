//! `runs/submit` and `runs/get`.

use serde_json::value::RawValue;
use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::Address;
use stepflow_protocol::{
    FlowId, ResultOrder, RpcError, RunId, RunStatusProtocol, RunsGetParams, RunsSubmitParams, Value, rpc_error_codes,
};

use super::{Executes, Requests, id_in, invalid, of_runs, read, refused, result};
use crate::served::RunRequest;

/// An execute that waits for a run as long as this exists: its slot of the worker is free.
struct Parked<'a> {
    executes: &'a dyn Executes,
    task: TaskRef,
}

impl<'a> Parked<'a> {
    fn new(executes: &'a dyn Executes, task: TaskRef) -> Self {
        executes.park(task);
        Self { executes, task }
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.executes.unpark(self.task);
    }
}

impl Requests<'_> {
    pub(super) async fn submit_run(&self, params: &Value) -> Result<Box<RawValue>, RpcError> {
        id_in::<FlowId>(params, "flowId")?;
        let asked: RunsSubmitParams = read(params)?;
        let asker = self.asker(params, asked.attempt, asked.observability.as_ref())?;
        let detached = asked.detached.unwrap_or(false);
        if asked.key.is_some() && (detached || !asker.names_attempt()) {
            return Err(invalid(
                "`key` is a step's own name for a sub-run: it needs `taskId` and `attempt`, and no `detached`",
            ));
        }
        if asked.max_concurrency == Some(0) {
            return Err(invalid("`maxConcurrency` is 0: it has to be at least 1"));
        }
        let request = RunRequest {
            flow_id: asked.flow_id,
            inputs: asked.inputs,
            overrides: asked.overrides.filter(|overrides| !overrides.is_null()),
            max_concurrency: asked.max_concurrency,
            origin: asker.origin(asked.key, detached)?,
        };
        let run = self.served.runs.submit(request).await.map_err(of_runs)?;
        let status = match asked.wait {
            Some(true) => self.ended(run, asker.attempt(), Some(ResultOrder::ByIndex)).await?,
            _ => self.status(run, None).await?,
        };
        result(&status)
    }

    pub(super) async fn get_run(&self, params: &Value) -> Result<Box<RawValue>, RpcError> {
        id_in::<RunId>(params, "runId")?;
        let asked: RunsGetParams = read(params)?;
        let asker = self.asker(params, asked.attempt, asked.observability.as_ref())?;
        let results = asked.include_results.unwrap_or(false).then(|| asked.result_order.unwrap_or_default());
        let status = match asked.wait {
            Some(true) => self.ended(asked.run_id, asker.attempt(), results).await?,
            _ => self.status(asked.run_id, results).await?,
        };
        result(&status)
    }

    pub(super) async fn status(&self, run: RunId, results: Option<ResultOrder>) -> Result<RunStatusProtocol, RpcError> {
        if results.is_some() {
            self.executes.turn().await;
        }
        self.served.runs.status(run, results).await.map_err(of_runs)
    }

    /// How a run ended. The execute that waits for it holds no slot of its worker or of its tree.
    pub(super) async fn ended(
        &self,
        run: RunId,
        by: Option<Address>,
        results: Option<ResultOrder>,
    ) -> Result<RunStatusProtocol, RpcError> {
        // Without results, so that the waiting request does not keep them in memory.
        if !self.status(run, None).await?.status.is_terminal() {
            let _parked = by.map(|by| Parked::new(self.executes, by.task));
            self.served.runs.ended(run, by).await;
        }
        let status = self.status(run, results).await?;
        if status.status.is_terminal() {
            return Ok(status);
        }
        Err(refused(rpc_error_codes::SERVER_ERROR, format!("run `{run}` has not ended, and the server stops")))
    }
}
