//! Checks that a blob's content is what its type says: later readers rely on that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stepflow_engine::ports::Blob;
use stepflow_protocol::{BlobType, Kind, Value};

/// The content with its type, or the reason why it is not of that type. Whether a flow can run is checked when it is to
/// run.
pub(crate) fn blob(data: Value, blob_type: BlobType) -> Result<Blob, String> {
    match blob_type {
        BlobType::Flow if data.kind() != Kind::Object => {
            let kind = data.kind().name();
            Err(format!("`data` is of the type `{kind}`: a blob of the type `flow` is a flow document, an object"))
        }
        BlobType::Binary => match data.text().map(|text| STANDARD.decode(text)) {
            Some(Ok(_)) => Ok(Blob { data, blob_type }),
            Some(Err(error)) => Err(format!("`data` is not base64, as a blob of the type `binary` is: {error}")),
            None => {
                let kind = data.kind().name();
                Err(format!("`data` is of the type `{kind}`: a blob of the type `binary` is a text in base64"))
            }
        },
        BlobType::Data | BlobType::Flow => Ok(Blob { data, blob_type }),
    }
}
