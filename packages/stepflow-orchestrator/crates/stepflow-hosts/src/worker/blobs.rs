//! The requests that a worker may make of the server: `blobs/put` and `blobs/get`.

use stepflow_engine::ports::{Blob, Blobs};
use stepflow_protocol::{BlobsGetParams, BlobsGetResult, BlobsPutParams, BlobsPutResult, Method, Value, codes};

use super::connection::{answer, refusal};

/// A refusal: the JSON-RPC code and what to tell the worker.
type Refused = (i64, String);

/// The line that answers a worker's request. `id` is echoed as it came.
pub(crate) async fn serve(blobs: &dyn Blobs, id: &str, method: &str, params: Option<&str>) -> Vec<u8> {
    let params = Value::parse(params.unwrap_or("{}"));
    let served = match (Method::named(method), params) {
        (_, Err(error)) => Err((codes::INVALID_PARAMS, error.to_string())),
        (Some(Method::BlobsPut), Ok(params)) => put(blobs, &params).await,
        (Some(Method::BlobsGet), Ok(params)) => get(blobs, &params).await,
        (_, Ok(_)) => Err((codes::METHOD_NOT_FOUND, format!("the server does not serve `{method}`"))),
    };
    match served {
        Ok(result) => answer(id, &result),
        Err((code, message)) => refusal(id, code, &message),
    }
}

async fn put(blobs: &dyn Blobs, params: &Value) -> Result<Value, Refused> {
    let BlobsPutParams { data, blob_type, .. } = params.deserialize().map_err(invalid)?;
    let blob_id = blobs.put(Blob { data, blob_type }).await.map_err(failed)?;
    result(&BlobsPutResult { blob_id })
}

async fn get(blobs: &dyn Blobs, params: &Value) -> Result<Value, Refused> {
    let BlobsGetParams { blob_id, .. } = params.deserialize().map_err(invalid)?;
    let Blob { data, blob_type } = blobs.get(blob_id).await.map_err(failed)?;
    result(&BlobsGetResult { data, blob_type })
}

fn result<T: serde::Serialize>(result: &T) -> Result<Value, Refused> {
    Value::from_serialize(result).map_err(|error| (codes::INTERNAL_ERROR, error.to_string()))
}

fn invalid(error: serde_json::Error) -> Refused {
    (codes::INVALID_PARAMS, error.to_string())
}

fn failed(error: stepflow_engine::ports::StoreError) -> Refused {
    (codes::SERVER_ERROR, error.to_string())
}
