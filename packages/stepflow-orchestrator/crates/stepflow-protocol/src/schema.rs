//! The schema of the worker protocol, from which the Python types are generated.

use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

use crate::messages as m;

/// JSON Schema (2020-12) with one definition for each message type. The root itself accepts anything: the envelope is
/// written by hand on both sides.
#[must_use]
pub fn protocol_schema() -> Json {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    generator.subschema_for::<m::Method>();
    generator.subschema_for::<m::InitializeParams>();
    generator.subschema_for::<m::InitializeResult>();
    generator.subschema_for::<m::InitializedParams>();
    generator.subschema_for::<m::ComponentsListParams>();
    generator.subschema_for::<m::ComponentsListResult>();
    generator.subschema_for::<m::ComponentsInfoParams>();
    generator.subschema_for::<m::ComponentsInfoResult>();
    generator.subschema_for::<m::ComponentsInferSchemaParams>();
    generator.subschema_for::<m::ComponentsInferSchemaResult>();
    generator.subschema_for::<m::ComponentsExecuteParams>();
    generator.subschema_for::<m::ComponentsExecuteResult>();
    generator.subschema_for::<m::ComponentsCancelParams>();
    generator.subschema_for::<m::FailureDetails>();
    generator.subschema_for::<m::BlobsPutParams>();
    generator.subschema_for::<m::BlobsPutResult>();
    generator.subschema_for::<m::BlobsGetParams>();
    generator.subschema_for::<m::BlobsGetResult>();
    generator.subschema_for::<m::RunsSubmitParams>();
    generator.subschema_for::<m::RunsGetParams>();
    generator.subschema_for::<m::RunStatusProtocol>();
    generator.subschema_for::<crate::FlowResult>();
    let definitions: serde_json::Map<String, Json> = generator.take_definitions(true);
    let mut titled: Vec<(String, Json)> = definitions.into_iter().collect();
    titled.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (name, definition) in &mut titled {
        if let Some(members) = definition.as_object_mut() {
            members.insert("title".to_owned(), json!(name));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Protocol",
        "description": "The messages between a Stepflow server and its workers.",
        "$defs": serde_json::Map::from_iter(titled),
    })
}
