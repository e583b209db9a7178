//! The components that flows can call.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Shared;
use super::query::Query;
use crate::catalog::Catalog;

/// `GET /components`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ComponentsQuery {
    /// Whether to include the schemas of inputs and outputs; true when absent.
    include_schemas: Option<bool>,
}

/// `GET /components`. When a plugin does not start, the components of the others are still listed.
pub async fn list(State(service): State<Shared>, Query(query): Query<ComponentsQuery>) -> Json<Catalog> {
    let catalog = service.catalog();
    Json(if query.include_schemas.unwrap_or(true) { catalog } else { catalog.without_schemas() })
}
