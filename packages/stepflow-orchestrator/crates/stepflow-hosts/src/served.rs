//! What workers may ask of the server: contents, flows and runs.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use stepflow_engine::Origin;
use stepflow_engine::ports::{Address, Blobs};
use stepflow_flow::Plan;
use stepflow_protocol::{FlowId, ResultOrder, RunId, RunStatusProtocol, Value};

/// A run that a worker asks for.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The flow.
    pub flow_id: FlowId,
    /// One input for each item.
    pub inputs: Vec<Value>,
    /// What is changed in the flow's steps.
    pub overrides: Option<Value>,
    /// How many attempts of the run may be open at once.
    pub max_concurrency: Option<u32>,
    /// Which step asks; `None` when that is not known: then the run is a root.
    pub origin: Option<Origin>,
}

/// Why a worker's request about runs was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RunsError {
    /// There is no such thing.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// An input does not fit the flow's schema. Nothing was created.
    #[error("{message}")]
    InvalidInput {
        /// What is wrong.
        message: String,
        /// Where, as a JSON pointer into the inputs: `/0/q`.
        path: String,
    },
    /// What was asked for cannot be, for the reason given.
    #[error("{0}")]
    Refused(String),
}

/// What a worker may ask of the server about flows and runs.
pub trait Runs: Send + Sync {
    /// The flow of this id: one that a run was made of, or the content of a blob.
    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Arc<Plan>, RunsError>>;

    /// Makes a run, or finds the one that an earlier attempt of the step has made.
    fn submit(&self, request: RunRequest) -> BoxFuture<'static, Result<RunId, RunsError>>;

    /// How far a run is, with the results of its items in this order, or without.
    fn status(
        &self,
        run: RunId,
        results: Option<ResultOrder>,
    ) -> BoxFuture<'static, Result<RunStatusProtocol, RunsError>>;

    /// Waits for the end of a run. Until then the attempt that waits holds no slot of its tree.
    fn ended(&self, run: RunId, by: Option<Address>) -> BoxFuture<'static, ()>;
}

/// What the server serves to its workers.
#[derive(Clone)]
pub struct ServedToWorkers {
    /// Contents.
    pub blobs: Arc<dyn Blobs>,
    /// Runs and flows.
    pub runs: Arc<dyn Runs>,
}
