//! `blobs/put` and `blobs/get`.

use serde_json::value::RawValue;
use stepflow_engine::ports::Blob;
use stepflow_protocol::{BlobsGetParams, BlobsGetResult, BlobsPutParams, BlobsPutResult, RpcError, Value};

use super::{Requests, invalid, of_store, read, result};
use crate::blob_content::blob;

impl Requests<'_> {
    pub(super) async fn put_blob(&self, params: &Value) -> Result<Box<RawValue>, RpcError> {
        let BlobsPutParams { data, blob_type, .. } = read(params)?;
        let blob = blob(data, blob_type).map_err(invalid)?;
        let blob_id = self.served.blobs.put(blob).await.map_err(of_store)?;
        result(&BlobsPutResult { blob_id })
    }

    pub(super) async fn get_blob(&self, params: &Value) -> Result<Box<RawValue>, RpcError> {
        let BlobsGetParams { blob_id, .. } = read(params)?;
        self.executes.turn().await;
        let Blob { data, blob_type } = self.served.blobs.get(blob_id).await.map_err(of_store)?;
        result(&BlobsGetResult { data, blob_type })
    }
}
