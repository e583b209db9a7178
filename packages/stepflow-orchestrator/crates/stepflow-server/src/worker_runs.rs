//! What workers ask about flows and runs, answered by the engine and from the store's rows.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use stepflow_engine::ports::{Address, ItemCounts, ItemRow, RunRow, StoreError, in_order};
use stepflow_engine::{Engine, Error, ItemMisfit, Submission};
use stepflow_flow::{Diagnostics, Level, Plan, Source, load};
use stepflow_hosts::{RunRequest, Runs, RunsError};
use stepflow_protocol::{FlowId, ItemResult, ItemStatistics, ResultOrder, RunId, RunStatusProtocol, Value};

use crate::store::Store;

/// Answers what workers ask. Cheap to clone.
#[derive(Clone)]
pub struct WorkerRuns {
    engine: Engine,
    store: Store,
    /// Flows by the ids of the blobs that hold them, where those are not the flows' own.
    by_blob: Arc<Mutex<HashMap<FlowId, Arc<Plan>>>>,
}

impl WorkerRuns {
    /// Asks this engine, and reads this store.
    pub fn new(engine: Engine, store: Store) -> Self {
        Self { engine, store, by_blob: Arc::default() }
    }

    async fn find(&self, id: FlowId) -> Result<Arc<Plan>, RunsError> {
        let known = self.store.journal.flow(id).await.map_err(unread)?;
        if let Some(plan) = known.or_else(|| self.by_blob.lock().get(&id).cloned()) {
            return Ok(plan);
        }
        let blob = self.store.blobs.get(id).await.map_err(|error| match error {
            StoreError::NotFound { .. } => RunsError::NotFound { what: "flow", id: id.to_string() },
            error => unread(error),
        })?;
        let plan = Arc::new(compiled(id, &blob.data)?);
        // Its own id is that of its canonical form. The blob may have another form.
        self.by_blob.lock().insert(id, Arc::clone(&plan));
        Ok(plan)
    }

    async fn make(&self, request: RunRequest) -> Result<RunId, RunsError> {
        let RunRequest { flow_id, inputs, overrides, max_concurrency, origin } = request;
        let plan = self.find(flow_id).await?;
        let (plan, overrides) = match overrides {
            None => (plan, None),
            Some(overrides) => patched(&plan, overrides)?,
        };
        let submission =
            Submission { plan, inputs, variables: None, overrides, max_concurrency, idempotency_key: None };
        let made = match origin {
            Some(origin) => self.engine.submit_from(origin, submission).await,
            None => self.engine.submit(submission).await,
        };
        made.map_err(refused)
    }

    async fn tell(&self, run: RunId, results: Option<ResultOrder>) -> Result<RunStatusProtocol, RunsError> {
        let unknown = || RunsError::NotFound { what: "run", id: run.to_string() };
        let row = self.store.queries.run(run).await.map_err(unread)?.ok_or_else(unknown)?;
        let results = match results {
            Some(order) => Some(listed(in_order(self.store.items(run).all().await.map_err(unread)?, order))),
            None => None,
        };
        Ok(status(row, results))
    }
}

impl Runs for WorkerRuns {
    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Arc<Plan>, RunsError>> {
        let runs = self.clone();
        async move { runs.find(id).await }.boxed()
    }

    fn submit(&self, request: RunRequest) -> BoxFuture<'static, Result<RunId, RunsError>> {
        let runs = self.clone();
        async move { runs.make(request).await }.boxed()
    }

    fn status(
        &self,
        run: RunId,
        results: Option<ResultOrder>,
    ) -> BoxFuture<'static, Result<RunStatusProtocol, RunsError>> {
        let runs = self.clone();
        async move { runs.tell(run, results).await }.boxed()
    }

    fn ended(&self, run: RunId, by: Option<Address>) -> BoxFuture<'static, ()> {
        let engine = self.engine.clone();
        async move { engine.ended(run, by).await }.boxed()
    }
}

fn compiled(id: FlowId, document: &Value) -> Result<Plan, RunsError> {
    let loaded = load(Source::json("flow", document.as_bytes()));
    let plan = loaded.flow.ok_or(loaded.diagnostics).and_then(Plan::compile);
    plan.map_err(|wrong| RunsError::Refused(format!("blob `{id}` is not a flow that can run: {}", fatal(&wrong))))
}

fn patched(plan: &Arc<Plan>, overrides: Value) -> Result<(Arc<Plan>, Option<Value>), RunsError> {
    let wrong =
        |wrong: Diagnostics| RunsError::Refused(format!("the overrides do not fit the flow: {}", fatal(&wrong)));
    let patched = plan.with_overrides(&overrides).map_err(wrong)?;
    let changes = patched.flow != plan.flow;
    Ok((Arc::new(patched), changes.then_some(overrides)))
}

fn unread(error: StoreError) -> RunsError {
    RunsError::Refused(error.to_string())
}

/// What keeps a flow from running, in one sentence.
fn fatal(wrong: &Diagnostics) -> String {
    let fatal = wrong.iter().filter(|diagnostic| diagnostic.level == Level::Fatal);
    let told: Vec<String> = fatal.map(|one| format!("{} at `{}`", one.message, one.path)).collect();
    told.join("; ")
}

fn refused(error: Error) -> RunsError {
    let Error::InvalidInput(misfits) = &error else { return RunsError::Refused(error.to_string()) };
    let Some(ItemMisfit { item, misfit }) = misfits.first() else { return RunsError::Refused(error.to_string()) };
    let path = item.map_or_else(String::new, |item| format!("/{item}")) + &misfit.pointer;
    let more = misfits.total() - 1;
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    let message = format!(
        "INVALID_INPUT: the inputs do not fit the flow at `{path}`: {}{more}; no run was made",
        misfit.problem()
    );
    RunsError::InvalidInput { message, path }
}

fn status(row: RunRow, results: Option<Vec<ItemResult>>) -> RunStatusProtocol {
    let ItemCounts { total, completed, running, failed, cancelled } = row.items;
    RunStatusProtocol {
        run_id: row.run,
        flow_id: row.flow_id,
        flow_name: row.flow_name,
        status: row.status,
        items: ItemStatistics { total, completed, running, failed, cancelled },
        created_at: row.created_at,
        completed_at: row.ended_at,
        results,
    }
}

fn listed(items: Vec<ItemRow>) -> Vec<ItemResult> {
    let result = |item: ItemRow| ItemResult {
        item_index: item.item,
        status: item.status,
        result: item.result,
        completed_at: item.ended_at,
    };
    items.into_iter().map(result).collect()
}
