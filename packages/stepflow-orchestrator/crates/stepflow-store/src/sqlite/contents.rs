//! Flows and contents under the hashes of their texts, and who needs them.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::params;
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, BlobType, Value};

use super::codec::{blob_type, ids_in, time};
use super::files::Placed;
use super::work::{Failure, Work, now};

/// A content as its row has it.
pub(super) struct BlobRow {
    pub id: BlobId,
    pub blob_type: BlobType,
    pub size: usize,
    pub content: Placed<Value>,
    /// The contents that it names.
    pub parts: Vec<BlobId>,
}

impl Work<'_> {
    /// Keeps a flow under its id, as its author wrote it: overrides are a run's own. One that is not `stored` by itself
    /// goes with the last of its runs.
    pub fn put_flow(&mut self, plan: &Arc<Plan>, at: Timestamp, stored: bool) -> Result<(), Failure> {
        let id = plan.flow_id.bytes();
        if self.connection.prepare_cached("SELECT 1 FROM flows WHERE id = ?1")?.exists([id])? {
            if stored {
                self.execute("UPDATE flows SET stored = 1 WHERE id = ?1", [id])?;
            }
            return Ok(());
        }
        let flow = &plan.without_overrides().flow;
        let sql = "INSERT INTO flows (id, name, description, version, created_at, stored, body)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let body = flow.canonical();
        self.execute(sql, params![id, flow.name, flow.description, flow.version, time(at), stored, body])?;
        self.uses(-self.connection.last_insert_rowid(), &body)?;
        Ok(())
    }

    /// Takes note of the contents that a text names.
    pub fn uses(&self, root_no: i64, text: &str) -> rusqlite::Result<()> {
        let sql = "INSERT OR IGNORE INTO blob_uses (root_no, blob) SELECT ?1, id FROM blobs WHERE id = ?2";
        ids_in(text).try_for_each(|id| self.execute(sql, params![root_no, id.bytes()]).map(drop))
    }

    /// Takes note that a content was put again, if it is there.
    pub fn touch(&mut self, id: BlobId) -> Result<bool, Failure> {
        let touched = self.execute("UPDATE blobs SET put_at = ?2 WHERE id = ?1", params![id.bytes(), now()])?;
        Ok(touched > 0)
    }

    /// Keeps a content under its id.
    pub fn put_blob(&mut self, blob: &BlobRow) -> Result<(), Failure> {
        let kept = self.touch(blob.id)?;
        if kept {
            // Somebody was faster. No row names this file, and none will.
            if let Placed::File(name) = &blob.content {
                self.removed.push(name.clone());
            }
            return Ok(());
        }
        let sql = "INSERT INTO blobs (id, type, size, put_at, inline, file) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let (size, (text, file)) = (blob.size.cast_signed(), blob.content.columns());
        self.execute(sql, params![blob.id.bytes(), blob_type(blob.blob_type), size, now(), text, file])?;
        for part in &blob.parts {
            let sql = "INSERT OR IGNORE INTO blob_parts (whole, part) SELECT ?1, id FROM blobs WHERE id = ?2";
            self.execute(sql, params![blob.id.bytes(), part.bytes()])?;
        }
        Ok(())
    }
}
