//! Flows: check, store, show.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepflow_engine::ports::ComponentHost as _;
use stepflow_flow::{Diagnostics, Flow, Level, Plan, Source, json_pointer};
use stepflow_protocol::{FlowId, Value, content_id};

use super::Shared;
use super::envelope::{Body, Id};
use super::error::{Detail, Error};
use super::query::{NoParameters, Query};

/// `POST /flows`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreFlowRequest {
    /// The flow: an object, or the text of a YAML document (then diagnostics carry lines).
    flow: Option<Value>,
    /// Only check the flow, and do not store it.
    #[serde(default)]
    dry_run: Option<bool>,
}

/// The answer to `POST /flows`. The flow is stored unless a diagnostic is fatal or it was a dry run.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreFlowResponse {
    /// The flow's id. For a document that is not a flow it is the hash of its text, and nothing is stored under it.
    flow_id: FlowId,
    /// Whether it is stored.
    stored: bool,
    /// Its errors and warnings.
    diagnostics: serde_json::Value,
}

/// `GET /flows/{flow_id}`
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowResponse {
    /// The flow, in its canonical form.
    flow: Value,
    /// Its id.
    flow_id: FlowId,
    /// Its examples, and those of its test cases that have other names.
    all_examples: Vec<Example>,
}

/// An input that shows how a flow is used.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Example {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    input: Value,
}

/// `POST /flows`
pub async fn store(
    State(service): State<Shared>,
    Query(NoParameters {}): Query<NoParameters>,
    Body(request): Body<StoreFlowRequest>,
) -> Result<Json<StoreFlowResponse>, Error> {
    let document = request.flow.ok_or_else(|| Error::invalid_request("`flow` is missing").at("/flow", "is missing"))?;
    let (plan, diagnostics) = read(&service, &document);
    let stored = plan.is_some() && !request.dry_run.unwrap_or(false);
    let flow_id = plan.as_ref().map_or_else(|| content_id(document.as_bytes()), |plan| plan.flow_id);
    if let Some(plan) = plan.filter(|_| stored) {
        service.store.flows.put(plan, service.clock.now()).await?;
    }
    Ok(Json(StoreFlowResponse { flow_id, stored, diagnostics: diagnostics.to_json() }))
}

/// `GET /flows/{flow_id}`
pub async fn show(
    State(service): State<Shared>,
    Id(flow_id): Id<FlowId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<FlowResponse>, Error> {
    let plan = service.store.journal.flow(flow_id).await?.ok_or_else(|| Error::not_found("flow", flow_id))?;
    let flow = Value::parse(plan.flow.canonical()).map_err(Error::internal)?;
    Ok(Json(FlowResponse { flow, flow_id, all_examples: all_examples(&plan.flow) }))
}

/// The plan of a flow in a request. If there is no plan, the diagnostics tell why.
pub fn read(service: &Shared, document: &Value) -> (Option<Arc<Plan>>, Diagnostics) {
    let source = match document.text() {
        Some(yaml) => Source::yaml("flow", yaml),
        None => Source::json("flow", document.as_bytes()),
    };
    let loaded = stepflow_flow::load_routed(source, &|path| service.router().takes_flow(path));
    match loaded.flow.map(Plan::compile) {
        Some(Ok(plan)) => (Some(Arc::new(plan)), loaded.diagnostics),
        Some(Err(fatal)) => (None, fatal),
        None => (None, loaded.diagnostics),
    }
}

/// The plan of a flow in a request to run it. The flow is stored together with its run, not before.
pub fn runnable(service: &Shared, document: &Value) -> Result<Arc<Plan>, Error> {
    let (plan, diagnostics) = read(service, document);
    plan.ok_or_else(|| Error::invalid_flow(fatal_details(&diagnostics), diagnostics.num_fatal()))
}

fn fatal_details(diagnostics: &Diagnostics) -> Vec<Detail> {
    let fatal = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Fatal);
    fatal.map(|diagnostic| Detail { path: pointer(&diagnostic.path), message: diagnostic.to_string() }).collect()
}

/// `$.steps[0].id` of the flow as a pointer from the body's root: `/flow/steps/0/id`.
fn pointer(path: &str) -> String {
    let mut pointer = String::from("/flow");
    for segment in stepflow_flow::Path::parse(path).unwrap_or_default().segments() {
        pointer.push_str(&match segment {
            stepflow_flow::path::Segment::Field(name) => json_pointer::segment(name),
            stepflow_flow::path::Segment::Index(index) => json_pointer::segment(&index.to_string()),
        });
    }
    pointer
}

fn all_examples(flow: &Flow) -> Vec<Example> {
    let mut all: Vec<Example> = Vec::new();
    let examples = flow.examples.iter().map(|it| (&it.name, &it.description, &it.input));
    let cases = flow.test.iter().flat_map(|test| &test.cases).map(|it| (&it.name, &it.description, &it.input));
    for (name, description, input) in examples.chain(cases) {
        if !all.iter().any(|example| example.name == *name) {
            all.push(Example { name: name.clone(), description: description.clone(), input: input.clone() });
        }
    }
    all
}
