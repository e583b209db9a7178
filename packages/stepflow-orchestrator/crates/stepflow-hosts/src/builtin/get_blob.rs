//! `/get_blob`: gives the content of an id.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use stepflow_engine::ports::{Failure, Purity, StoreError};
use stepflow_protocol::{BlobId, ErrorKind, FlowError, Value};

use super::{About, Builtin, Resources, read};

pub(super) struct GetBlob;

#[derive(Deserialize)]
struct Input {
    blob_id: BlobId,
}

impl Builtin for GetBlob {
    fn about(&self) -> About {
        About { path: "/get_blob", description: "Gives the content that was kept under an id.", purity: Purity::Read }
    }

    fn input_schema(&self) -> Json {
        json!({
            "type": "object",
            "properties": {"blob_id": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}},
            "required": ["blob_id"],
            "additionalProperties": false,
        })
    }

    fn output_schema(&self) -> Json {
        json!({"type": "object", "properties": {"data": {}}, "required": ["data"]})
    }

    fn run(&self, input: Value, resources: Arc<Resources>) -> BoxFuture<'static, Result<Value, Failure>> {
        async move {
            let Input { blob_id } = read(&input)?;
            let blob = resources.blobs.get(blob_id).await.map_err(|error| failure(blob_id, &error))?;
            Ok(Value::object([("data", blob.data)]))
        }
        .boxed()
    }
}

fn failure(id: BlobId, error: &StoreError) -> Failure {
    let data = [("blob_id", Value::string(&id.to_string()))];
    match error {
        StoreError::NotFound { .. } => Failure {
            error: FlowError::new(ErrorKind::ComponentFailed, format!("there is no blob `{id}`")).with(data),
            // A blob that is missing now will not appear later.
            retryable: Some(false),
            retry_after: None,
        },
        StoreError::Unavailable(_)
        | StoreError::Damaged(_)
        | StoreError::Fenced { .. }
        | StoreError::Conflict { .. } => {
            FlowError::new(ErrorKind::ResourceUnavailable, format!("the blob `{id}` could not be read: {error}"))
                .with(data)
                .into()
        }
    }
}
