//! Rows for those who ask about runs and flows, in pages that an index finds.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use stepflow_engine::event::StepRef;
use stepflow_engine::ports::{
    AttemptRow, FlowRow, Flows, ItemCounts, ItemRow, Queries, RunFilter, RunRow, StepRow, StoreError,
};
use stepflow_flow::Plan;
use stepflow_protocol::{ExecutionStatus, FlowId, RunId};

use super::codec::{as_execution_status, bytes, execution_status, run, time, timestamp};
use super::message::Message;
use super::work::Failure;
use super::{SqliteStore, steps};

/// Runs of a root that is deleted are out of sight. The cross join keeps SQLite from beginning with the roots.
pub(super) const RUN: &str = "SELECT runs.id, root.id, runs.parent, runs.flow, runs.flow_name, runs.status, runs.total,
                   runs.completed, runs.failed, runs.cancelled, runs.created_at, runs.ended_at,
                   root.given_up IS NOT NULL
                   FROM runs CROSS JOIN runs AS root ON root.no = runs.root_no";

pub(super) fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let (total, completed, failed, cancelled): (u32, u32, u32, u32) =
        (row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?);
    let running = total.saturating_sub(completed + failed + cancelled);
    let row_of_run = RunRow {
        run: run(row.get(0)?),
        root: run(row.get(1)?),
        parent: row.get::<_, Option<[u8; 16]>>(2)?.map(run),
        flow_id: FlowId::from_bytes(row.get(3)?),
        flow_name: row.get(4)?,
        status: as_execution_status(row.get(5)?),
        items: ItemCounts { total, completed, running, failed, cancelled },
        created_at: timestamp(row.get(10)?),
        ended_at: row.get::<_, Option<i64>>(11)?.map(timestamp),
    };
    Ok(if row.get(12)? { row_of_run.given_up() } else { row_of_run })
}

fn run_of(connection: &Connection, of: RunId) -> Result<Option<RunRow>, Failure> {
    let mut row = connection.prepare_cached(&format!("{RUN} WHERE runs.id = ?1"))?;
    Ok(row.query_row([bytes(of)], run_row).optional()?)
}

/// A list's SQL and its parameters.
fn listed(filter: &RunFilter, after: Option<RunId>, most: usize) -> (String, Vec<Sql>) {
    let id = |run: RunId| Sql::from(bytes(run).to_vec());
    // The one with the fewest runs, as a rule, is first.
    let columns = [
        ("runs.parent = ?", filter.parent.map(id)),
        ("runs.root_no = (SELECT no FROM runs WHERE id = ?)", filter.root.map(id)),
        ("runs.flow = ?", filter.flow_id.map(|flow| Sql::from(flow.bytes().to_vec()))),
        ("runs.flow_name = ?", filter.flow_name.clone().map(Sql::from)),
        ("runs.status = ?", filter.status.map(|status| Sql::from(execution_status(status)))),
    ];
    let mut conditions = Vec::new();
    let mut parameters = Vec::new();
    for (column, value) in columns {
        if let Some(value) = value {
            // With a sign a column chooses no index: SQLite knows less of them than we do.
            let sign = if conditions.is_empty() { "" } else { "+" };
            conditions.push(format!("{sign}{column}"));
            parameters.push(value);
        }
    }
    match filter.status {
        Some(ExecutionStatus::Running) => conditions.push("root.given_up IS NULL".to_owned()),
        Some(ExecutionStatus::RecoveryFailed) => conditions.push("root.given_up IS NOT NULL".to_owned()),
        _ => {}
    }
    if filter.roots_only {
        let sign = if conditions.is_empty() { "" } else { "+" };
        conditions.push(format!("{sign}runs.parent IS NULL"));
    }
    if let Some(after) = after {
        conditions.push("runs.id < ?".to_owned());
        parameters.push(id(after));
    }
    let conditions = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    parameters.push(Sql::from(limit(most)));
    (format!("{RUN}{conditions} ORDER BY runs.id DESC LIMIT ?"), parameters)
}

/// A number of rows as SQLite takes it.
fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn runs(
    connection: &Connection,
    filter: &RunFilter,
    after: Option<RunId>,
    most: usize,
) -> Result<Vec<RunRow>, Failure> {
    let (sql, parameters) = listed(filter, after, most);
    let mut rows = connection.prepare_cached(&sql)?;
    Ok(rows.query_map(params_from_iter(parameters), run_row)?.collect::<rusqlite::Result<_>>()?)
}

const FLOWS: &str = "SELECT id, name, description, version, created_at FROM flows
                     WHERE (created_at, id) < (?1, ?2) ORDER BY created_at DESC, id DESC LIMIT ?3";

fn flows(connection: &Connection, after: Option<(Timestamp, FlowId)>, most: usize) -> Result<Vec<FlowRow>, Failure> {
    let (at, id) = after.map_or((i64::MAX, Vec::new()), |(at, id)| (time(at), id.bytes().to_vec()));
    let mut rows = connection.prepare_cached(FLOWS)?;
    let rows = rows.query_map(params![at, id, limit(most)], |row| {
        Ok(FlowRow {
            flow_id: FlowId::from_bytes(row.get(0)?),
            name: row.get(1)?,
            description: row.get(2)?,
            version: row.get(3)?,
            created_at: timestamp(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Queries for SqliteStore {
    fn run(&self, run: RunId) -> BoxFuture<'static, Result<Option<RunRow>, StoreError>> {
        self.readers.ask(move |access| run_of(access.connection, run))
    }

    fn runs(
        &self,
        filter: RunFilter,
        after: Option<RunId>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<RunRow>, StoreError>> {
        self.readers.ask(move |access| runs(access.connection, &filter, after, most))
    }

    fn items(
        &self,
        run: RunId,
        after: Option<u32>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<ItemRow>, StoreError>> {
        self.readers.ask(move |access| steps::items(access, run, after, most))
    }

    fn steps(&self, run: RunId, item: u32) -> BoxFuture<'static, Result<Vec<StepRow>, StoreError>> {
        self.readers.ask(move |access| steps::steps(access, run, item))
    }

    fn attempts(&self, run: RunId, item: u32, step: u32) -> BoxFuture<'static, Result<Vec<AttemptRow>, StoreError>> {
        self.readers.ask(move |access| steps::attempts(access, StepRef { run, item, step }))
    }

    fn plan(&self, run: RunId) -> BoxFuture<'static, Result<Option<Arc<Plan>>, StoreError>> {
        self.readers.ask(move |access| steps::plan(access, run))
    }

    fn flows(
        &self,
        after: Option<(Timestamp, FlowId)>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<FlowRow>, StoreError>> {
        self.readers.ask(move |access| flows(access.connection, after, most))
    }
}

impl Flows for SqliteStore {
    fn put(&self, plan: Arc<Plan>, at: Timestamp) -> BoxFuture<'static, Result<(), StoreError>> {
        self.ask(|reply| Message::PutFlow(plan, at, reply))
    }
}

#[cfg(test)]
mod tests {
    use stepflow_protocol::content_id;
    use uuid::Uuid;

    use super::*;

    /// How SQLite finds what it is asked for.
    fn plan_of(sql: &str, parameters: Vec<Sql>) -> String {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.query_map(params_from_iter(parameters), |row| row.get::<_, String>(3)).unwrap();
        steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("; ")
    }

    #[test]
    fn lists_are_read_through_an_index_and_not_sorted() {
        let id = RunId::from_uuid(Uuid::from_u128(1));
        let all = RunFilter::default;
        let (status, flow_name) = (Some(ExecutionStatus::Completed), Some("f".to_owned()));
        let filters = [
            ("runs_by_status", RunFilter { status, ..all() }),
            ("runs_by_status", RunFilter { status, roots_only: true, ..all() }),
            ("runs_by_name", RunFilter { flow_name: flow_name.clone(), status, ..all() }),
            ("runs_by_flow", RunFilter { flow_id: Some(content_id(b"")), flow_name, status, ..all() }),
            ("runs_by_root", RunFilter { root: Some(id), status, ..all() }),
            ("runs_by_parent", RunFilter { parent: Some(id), root: Some(id), ..all() }),
            ("runs_by_parent", RunFilter { roots_only: true, ..all() }),
        ];
        for (index, filter) in filters {
            for after in [None, Some(id)] {
                let (sql, parameters) = listed(&filter, after, 100);
                let plan = plan_of(&sql, parameters);
                let is_found = plan.contains(&format!("SEARCH runs USING INDEX {index}"));
                assert!(is_found && !plan.contains("SCAN") && !plan.contains("B-TREE"), "{filter:?}: {plan}");
            }
        }
        let (sql, parameters) = listed(&all(), Some(id), 100);
        assert!(!plan_of(&sql, parameters).contains("B-TREE"));
        let plan = plan_of(FLOWS, vec![Sql::from(1), Sql::from(vec![1]), Sql::from(100)]);
        assert!(plan.contains("SEARCH flows USING INDEX flows_by_time") && !plan.contains("B-TREE"), "{plan}");
    }
}
