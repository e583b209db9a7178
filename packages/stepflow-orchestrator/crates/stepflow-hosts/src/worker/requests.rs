//! The requests that a worker sends to the server, on any transport: blobs, runs, flows.
//!
//! `blobs` and `runs` serve today's methods, `legacy` those of the published workers up to 0.7. `asker` finds the open
//! execute that a request comes from: a run becomes a sub-run of it.

mod asker;
mod blobs;
mod legacy;
mod runs;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{Address, StoreError};
use stepflow_protocol::{Method, RpcError, RunId, Value, rpc_error_codes};

use super::connection::{answer, refusal};
use super::message::TooLong;
use crate::served::{RunsError, ServedToWorkers};

/// The open executes of the connection on which a request came.
pub(crate) trait Executes: Send + Sync {
    /// The executes from which a request may come that names none: all of a connection, or the one on whose stream it
    /// came.
    fn open(&self) -> Vec<ExecuteIds>;

    /// Where words about this attempt go, if a worker of the plugin has it.
    fn address(&self, task: TaskRef) -> Option<Address>;

    /// The execute waits for a run. Its slot is free until [`Executes::unpark`] has been called as many times.
    fn park(&self, task: TaskRef);

    /// It waits for one run less.
    fn unpark(&self, task: TaskRef);

    /// Waits until an answer of any size may be made: only a few are in memory at once.
    fn turn(&self) -> BoxFuture<'_, ()>;
}

/// An open execute, with what a legacy worker may say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecuteIds {
    pub(crate) task: Address,
    pub(crate) run_id: RunId,
    pub(crate) step_id: String,
}

/// Serves the requests of one connection.
pub(crate) struct Requests<'a> {
    pub(crate) served: &'a ServedToWorkers,
    pub(crate) executes: &'a dyn Executes,
    /// The longest answer, in bytes.
    pub(crate) max_message: usize,
}

impl Requests<'_> {
    /// The line that answers a request. `id` is copied as it came.
    pub(crate) async fn answer(&self, id: &str, method: &str, params: Option<&str>) -> Vec<u8> {
        let params = Value::parse_params(params.unwrap_or("{}"));
        let served = match (Method::named(method), params) {
            (_, Err(error)) => Err(invalid(error)),
            (Some(method), Ok(params)) => self.serve(method, &params).await,
            (None, Ok(_)) => Err(unserved(method)),
        };
        let line = match served {
            Ok(result) => answer(id, &result),
            Err(error) => refusal(id, &error),
        };
        match TooLong::check(line.len(), self.max_message) {
            Ok(()) => line,
            Err(problem) => {
                let message = format!("the answer to `{method}` is too long: {problem}");
                refusal(id, &refused(rpc_error_codes::SERVER_ERROR, message))
            }
        }
    }

    async fn serve(&self, method: Method, params: &Value) -> Result<Box<RawValue>, RpcError> {
        match method {
            Method::BlobsPut => self.put_blob(params).await,
            Method::BlobsGet => self.get_blob(params).await,
            Method::RunsSubmit => self.submit_run(params).await,
            Method::RunsGet => self.get_run(params).await,
            Method::FlowsEvaluate => self.evaluate_flow(params).await,
            Method::FlowsGetMetadata => self.get_metadata(params).await,
            Method::FlowsSubmitBatch => self.submit_batch(params).await,
            Method::FlowsGetBatch => self.get_batch(params).await,
            Method::Initialize
            | Method::Initialized
            | Method::ComponentsList
            | Method::ComponentsInfo
            | Method::ComponentsInferSchema
            | Method::ComponentsExecute
            | Method::ComponentsCancel => Err(unserved(method.name())),
        }
    }
}

/// The params of a request. An invalid id has its own error.
fn read<T: DeserializeOwned>(params: &Value) -> Result<T, RpcError> {
    params.deserialize_object().map_err(|error| invalid(format!("the params do not fit: {error}")))
}

/// The id in this member, if there is one.
fn id_in<T: std::str::FromStr<Err: std::fmt::Display>>(params: &Value, member: &str) -> Result<Option<T>, RpcError> {
    let Some(text) = params.field(member).and_then(|id| id.text()) else { return Ok(None) };
    text.parse().map(Some).map_err(|error: T::Err| refused(rpc_error_codes::INVALID_ID, format!("`{member}`: {error}")))
}

/// Not as a `Value`: the levels around the values in it do not count as their own.
fn result<T: Serialize>(result: &T) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(result).map_err(|error| refused(rpc_error_codes::INTERNAL_ERROR, error.to_string()))
}

fn refused(code: i64, message: String) -> RpcError {
    RpcError { code, message, data: None }
}

fn invalid(problem: impl std::fmt::Display) -> RpcError {
    refused(rpc_error_codes::INVALID_PARAMS, problem.to_string())
}

fn unserved(method: &str) -> RpcError {
    refused(rpc_error_codes::METHOD_NOT_FOUND, format!("the server does not serve `{method}`"))
}

fn of_store(error: StoreError) -> RpcError {
    refused(rpc_error_codes::SERVER_ERROR, error.to_string())
}

fn of_runs(error: RunsError) -> RpcError {
    let message = error.to_string();
    match error {
        RunsError::NotFound { .. } => refused(rpc_error_codes::NOT_FOUND, message),
        RunsError::InvalidInput { path, .. } => {
            let data = Value::object([("path", Value::string(&path))]);
            RpcError { data: Some(data), ..refused(rpc_error_codes::INVALID_INPUT, message) }
        }
        RunsError::Refused(_) => refused(rpc_error_codes::SERVER_ERROR, message),
    }
}
