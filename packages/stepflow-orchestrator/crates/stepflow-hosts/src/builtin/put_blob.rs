//! `/put_blob`: stores a content and returns its id.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use stepflow_engine::ports::{Failure, Purity};
use stepflow_protocol::{BlobType, ErrorKind, FlowError, Value};

use super::{About, Builtin, Resources, read};
use crate::blob_content::blob;

pub(super) struct PutBlob;

#[derive(Deserialize)]
struct Input {
    data: Value,
    #[serde(default)]
    blob_type: BlobType,
}

impl Builtin for PutBlob {
    fn about(&self) -> About {
        About {
            path: "/put_blob",
            description: "Keeps `data` in the blob store and gives its id, the SHA-256 of its bytes.",
            // The same content has the same id and is stored once.
            purity: Purity::Pure,
        }
    }

    fn input_schema(&self) -> Json {
        json!({
            "type": "object",
            "properties": {
                "data": {"description": "Any JSON; base64 text for the type `binary`."},
                "blob_type": {"enum": ["data", "flow", "binary"], "default": "data"},
            },
            "required": ["data"],
            "additionalProperties": false,
        })
    }

    fn output_schema(&self) -> Json {
        json!({"type": "object", "properties": {"blob_id": {"type": "string"}}, "required": ["blob_id"]})
    }

    fn run(&self, input: Value, resources: Arc<Resources>) -> BoxFuture<'static, Result<Value, Failure>> {
        async move {
            let Input { data, blob_type } = read(&input)?;
            let blob = blob(data, blob_type).map_err(|problem| misfit(&problem))?;
            match resources.blobs.put(blob).await {
                Ok(id) => Ok(Value::object([("blob_id", Value::string(&id.to_string()))])),
                Err(error) => {
                    let message = format!("the blob could not be kept: {error}");
                    Err(FlowError::new(ErrorKind::ResourceUnavailable, message).into())
                }
            }
        }
        .boxed()
    }
}

fn misfit(problem: &str) -> FlowError {
    FlowError::new(ErrorKind::InvalidInput, problem).with([("path", Value::string("/data"))])
}
