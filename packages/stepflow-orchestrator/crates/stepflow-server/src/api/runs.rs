//! Runs: create, wait for, show, cancel.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use stepflow_engine::ports::{RunRow, in_order};
use stepflow_engine::{CancelError, ItemMisfit, Submission};
use stepflow_flow::{Diagnostics, Level, Plan};
use stepflow_protocol::{FlowId, Kind, ResultOrder, RunId, Value};

use super::Shared;
use super::envelope::{Body, Id};
use super::error::{Detail, Error};
use super::flows;
use super::query::{NoParameters, Query};
use super::secrets::{self, SecretsQuery};
use super::views::{Items, Run};

/// How long a request waits for a run that says nothing about it.
const DEFAULT_WAIT: Duration = Duration::from_secs(300);

/// `POST /runs`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateRunRequest {
    /// A stored flow.
    flow_id: Option<FlowId>,
    /// A flow that comes along: an object, or the text of a YAML document.
    flow: Option<Value>,
    /// One element for each item.
    #[serde(default, deserialize_with = "inputs")]
    input: Option<Vec<Value>>,
    /// The run's variables, an object.
    variables: Option<Value>,
    /// At most this many steps at once.
    max_concurrency: Option<u32>,
    /// Answer when the run has ended.
    wait: Option<bool>,
    /// Wait no longer than this; 300 when absent.
    timeout_secs: Option<u64>,
    /// Patches to the flow's steps, for this run only: `{"steps": {"<id>": {"$type": "merge_patch", "value": …}}}`.
    overrides: Option<Value>,
    /// Planned.
    labels: Option<Value>,
}

/// `GET /runs/{run_id}`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ShowRunQuery {
    /// Answer when the run has ended.
    wait: Option<bool>,
    /// Wait no longer than this; 300 when absent.
    timeout_secs: Option<u64>,
    /// With secret values as they are: for a token that may read them.
    secrets: Option<bool>,
}

/// `GET /runs/{run_id}/items`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ItemsQuery {
    /// The only item to show, counted from 0.
    item_index: Option<u32>,
    /// As the inputs were, or as the items ended.
    result_order: Option<ResultOrder>,
    /// With secret values as they are: for a token that may read them.
    secrets: Option<bool>,
}

/// Reads `input`, and says of anything else what each element is for.
fn inputs<'de, D: Deserializer<'de>>(sent: D) -> Result<Option<Vec<Value>>, D::Error> {
    struct Inputs;

    impl<'de> Visitor<'de> for Inputs {
        type Value = Option<Vec<Value>>;

        fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
            text.write_str("a list with one element for each item")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<S: SeqAccess<'de>>(self, list: S) -> Result<Self::Value, S::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list)).map(Some)
        }
    }

    sent.deserialize_any(Inputs)
}

/// `POST /runs`: 202 at once, or 200 with `wait`.
pub async fn create(
    State(service): State<Shared>,
    headers: HeaderMap,
    Query(query): Query<SecretsQuery>,
    Body(request): Body<CreateRunRequest>,
) -> Result<(StatusCode, Json<Run>), Error> {
    refuse_what_is_not_built(&request, &headers)?;
    secrets::refuse(query.secrets)?;
    if request.max_concurrency == Some(0) {
        return Err(Error::invalid_request("`maxConcurrency` must be at least 1").at("/maxConcurrency", "is 0"));
    }
    let wait = request.wait.unwrap_or(false).then(|| timeout(request.timeout_secs));
    let inputs = request.input.ok_or_else(|| {
        Error::invalid_request("`input` is missing: a list with one element for each item").at("/input", "is missing")
    })?;
    let plan = plan(&service, request.flow_id, request.flow.as_ref()).await?;
    check_variables(request.variables.as_ref())?;
    let (plan, overrides) = overridden(plan, request.overrides)?;
    let CreateRunRequest { variables, max_concurrency, .. } = request;
    let submission = Submission { plan, inputs, variables, overrides, max_concurrency, idempotency_key: None };
    let run = service.engine.submit(submission).await.map_err(refused)?;
    match wait {
        None => Ok((StatusCode::ACCEPTED, Json(Run::summary(row(&service, run).await?)))),
        Some(timeout) => {
            service.wait_for(run, timeout).await;
            Ok((StatusCode::OK, Json(details(&service, run, true).await?)))
        }
    }
}

/// `GET /runs/{run_id}`
pub async fn show(
    State(service): State<Shared>,
    Id(run): Id<RunId>,
    Query(query): Query<ShowRunQuery>,
) -> Result<Json<Run>, Error> {
    secrets::refuse(query.secrets)?;
    let waits = query.wait.unwrap_or(false);
    if waits && !row(&service, run).await?.status.is_terminal() {
        service.wait_for(run, timeout(query.timeout_secs)).await;
    }
    details(&service, run, waits).await.map(Json)
}

/// `GET /runs/{run_id}/items`
pub async fn items(
    State(service): State<Shared>,
    Id(run): Id<RunId>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Items>, Error> {
    secrets::refuse(query.secrets)?;
    let row = row(&service, run).await?;
    let items = match query.item_index {
        Some(index) => {
            let item = secrets::shown_item(&service.store, &row, index).await?;
            vec![item.ok_or_else(|| Error::not_found("item", index))?]
        }
        None => {
            let items = secrets::shown_items(&service.store, &row).await?;
            in_order(items, query.result_order.unwrap_or_default())
        }
    };
    Ok(Json(Items::new(row.items.total, items)))
}

/// `POST /runs/{run_id}/cancel`
pub async fn cancel(
    State(service): State<Shared>,
    Id(run): Id<RunId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<Run>, Error> {
    match service.engine.cancel(run, "api", None).await {
        Ok(()) => Ok(Json(Run::summary(row(&service, run).await?))),
        Err(CancelError::NotRunning) => {
            row(&service, run).await?;
            Err(Error::conflict(format!("run `{run}` has already ended")))
        }
        Err(CancelError::Store(error)) => Err(error.into()),
        Err(CancelError::Stopped) => Err(Error::unavailable("it stops", "the engine has stopped")),
    }
}

fn refuse_what_is_not_built(request: &CreateRunRequest, headers: &HeaderMap) -> Result<(), Error> {
    let is_empty = |labels: &Value| labels.kind() == Kind::Object && labels.members().is_empty();
    if request.labels.as_ref().is_some_and(|labels| !is_empty(labels)) {
        return Err(Error::not_built("`labels`").at("/labels", "is not built yet"));
    }
    if headers.contains_key("idempotency-key") {
        return Err(Error::not_built("the header `Idempotency-Key`"));
    }
    Ok(())
}

async fn plan(service: &Shared, flow_id: Option<FlowId>, flow: Option<&Value>) -> Result<Arc<Plan>, Error> {
    match (flow_id, flow) {
        (Some(id), None) => service.store.journal.flow(id).await?.ok_or_else(|| Error::not_found("flow", id)),
        (None, Some(document)) => flows::runnable(service, document),
        (Some(_), Some(_)) => Err(Error::invalid_request("give `flowId` or `flow`, not both")),
        (None, None) => Err(Error::invalid_request("`flowId` or `flow` is missing").at("/flowId", "is missing")),
    }
}

/// The plan with the overrides of a request, and these for the record.
fn overridden(plan: Arc<Plan>, overrides: Option<Value>) -> Result<(Arc<Plan>, Option<Value>), Error> {
    let Some(value) = overrides.filter(|value| !value.is_null()) else { return Ok((plan, None)) };
    let patched = plan.with_overrides(&value).map_err(|wrong| invalid_overrides(&wrong))?;
    let changes = patched.flow != plan.flow;
    Ok((Arc::new(patched), changes.then_some(value)))
}

fn invalid_overrides(wrong: &Diagnostics) -> Error {
    let errors = wrong.iter().filter(|diagnostic| diagnostic.level > Level::Warning);
    let messages: Vec<&str> = errors.map(|diagnostic| diagnostic.message.as_str()).collect();
    let error = Error::invalid_request(format!("the overrides do not fit the flow: {}", messages.join("; ")));
    messages.iter().fold(error, |error, message| error.at("/overrides", *message))
}

fn check_variables(variables: Option<&Value>) -> Result<(), Error> {
    match variables.map(Value::kind) {
        None | Some(Kind::Object) => Ok(()),
        Some(other) => {
            let message = format!("expected an object, found {}", other.with_article());
            Err(Error::invalid_input([Detail { path: "/variables".to_owned(), message }].into_iter().collect()))
        }
    }
}

/// The engine's refusal, with places counted from the body's root.
fn refused(error: stepflow_engine::Error) -> Error {
    let misfits = match error {
        stepflow_engine::Error::InvalidInput(misfits) => misfits,
        stepflow_engine::Error::Store(error) => return error.into(),
        error @ stepflow_engine::Error::Busy => return Error::unavailable("it has too much to do", error),
        // Only a running step can be told these.
        error @ (stepflow_engine::Error::NotOpen
        | stepflow_engine::Error::KeyTaken { .. }
        | stepflow_engine::Error::TooDeep { .. }) => return Error::internal(error),
        stepflow_engine::Error::Stopped => return Error::unavailable("it stops", "the engine has stopped"),
    };
    let detail = |found: ItemMisfit| {
        let root = found.item.map_or_else(|| "/variables".to_owned(), |item| format!("/input/{item}"));
        Detail { path: root + &found.misfit.pointer, message: found.misfit.problem().to_owned() }
    };
    Error::invalid_input(misfits.map(detail))
}

fn timeout(seconds: Option<u64>) -> Duration {
    seconds.map_or(DEFAULT_WAIT, Duration::from_secs)
}

async fn row(service: &Shared, run: RunId) -> Result<RunRow, Error> {
    service.store.queries.run(run).await?.ok_or_else(|| Error::not_found("run", run))
}

async fn details(service: &Shared, run: RunId, waited: bool) -> Result<Run, Error> {
    let row = row(service, run).await?;
    // Only what is shown is read: a batch may be large.
    let shown = waited || row.items.total == 1;
    let items = if shown { secrets::shown_items(&service.store, &row).await? } else { Vec::new() };
    Ok(Run::with_results(row, items, waited))
}
