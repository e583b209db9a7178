//! The flows that are read, compiled once: they are asked for again and again.

use std::sync::Arc;

use quick_cache::sync::Cache;
use rusqlite::{Connection, OptionalExtension as _};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{BlobId, FlowId, Value, content_id};

/// How many are kept.
const PLANS: usize = 256;

/// Plans by flow and by the hash of the overrides.
pub(super) struct Plans(Cache<(FlowId, Option<BlobId>), Arc<Plan>>);

impl Default for Plans {
    fn default() -> Self {
        Self(Cache::new(PLANS))
    }
}

impl Plans {
    /// The plan of this flow with these overrides; none when there is no such flow, or they do not fit it.
    pub fn get(
        &self,
        connection: &Connection,
        id: FlowId,
        overrides: Option<&Value>,
    ) -> rusqlite::Result<Option<Arc<Plan>>> {
        let key = (id, overrides.map(|overrides| content_id(overrides.as_bytes())));
        if let Some(plan) = self.0.get(&key).filter(|_| is_kept(connection, id)) {
            return Ok(Some(plan));
        }
        let plan = match overrides {
            None => compiled(connection, id)?,
            Some(overrides) => self.get(connection, id, None)?.and_then(|plan| plan.with_overrides(overrides).ok()),
        };
        let plan = plan.map(Arc::new);
        if let Some(plan) = &plan {
            self.0.insert(key, Arc::clone(plan));
        }
        Ok(plan)
    }
}

/// Whether the flow is there still.
fn is_kept(connection: &Connection, id: FlowId) -> bool {
    let kept = connection.prepare_cached("SELECT 1 FROM flows WHERE id = ?1");
    kept.and_then(|mut kept| kept.exists([id.bytes()])).unwrap_or(false)
}

fn compiled(connection: &Connection, id: FlowId) -> rusqlite::Result<Option<Plan>> {
    let mut body = connection.prepare_cached("SELECT body FROM flows WHERE id = ?1")?;
    let body: Option<String> = body.query_row([id.bytes()], |row| row.get(0)).optional()?;
    let Some(body) = body else { return Ok(None) };
    let flow = load(Source::json(format!("flow {id}"), body)).flow;
    Ok(flow.and_then(|flow| Plan::compile(flow).ok()))
}
