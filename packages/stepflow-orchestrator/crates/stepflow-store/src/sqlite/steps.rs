//! What is read of one run: its items, its steps, their attempts, its plan. Rows say where in the journal the rest is.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use stepflow_engine::event::{AttemptOutcome, Event, Outcome, Record, RunEnded, StepRef};
use stepflow_engine::ports::{AttemptRow, ItemRow, StepRow};
use stepflow_engine::{StepChange, attempts_of};
use stepflow_flow::Plan;
use stepflow_protocol::{ExecutionStatus, FlowId, FlowResult, RunId};

use super::codec::{as_execution_status, as_step_status, bytes, decode, key, place, run, timestamp};
use super::readers::Access;
use super::tree::Tree;
use super::work::{Failure, unreadable};

/// A run's row, as far as its items and steps need it.
struct Run {
    no: i64,
    root_no: i64,
    root: RunId,
    flow: FlowId,
    total: u32,
    status: ExecutionStatus,
    ended_at: Option<i64>,
    overrides_seq: Option<i64>,
    end_seq: Option<i64>,
    /// Why its tree was given up.
    given_up: Option<String>,
}

impl Run {
    fn find(connection: &Connection, of: RunId) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT runs.no, root.no, root.id, runs.flow, runs.total, runs.status, runs.ended_at,
                   runs.overrides_seq, runs.end_seq, root.given_up
                   FROM runs JOIN runs AS root ON root.no = runs.root_no WHERE runs.id = ?1";
        let row = connection.prepare_cached(sql)?.query_row([bytes(of)], |row| {
            Ok(Self {
                no: row.get(0)?,
                root_no: row.get(1)?,
                root: run(row.get(2)?),
                flow: FlowId::from_bytes(row.get(3)?),
                total: row.get(4)?,
                status: as_execution_status(row.get(5)?),
                ended_at: row.get(6)?,
                overrides_seq: row.get(7)?,
                end_seq: row.get(8)?,
                given_up: row.get(9)?,
            })
        });
        row.optional()
    }

    fn tree<'a>(&self, access: &'a Access<'a>) -> Tree<'a> {
        Tree::new(access, self.root, Some(self.root_no))
    }

    fn plan(&self, tree: &mut Tree<'_>) -> Result<Option<Arc<Plan>>, Failure> {
        let created = self.overrides_seq.map(|seq| tree.event(seq.cast_unsigned())).transpose()?.flatten();
        let overrides = match created {
            Some(Event::RunCreated(created)) => created.overrides,
            _ => None,
        };
        Ok(tree.access.plans.get(tree.access.connection, self.flow, overrides.as_ref())?)
    }

    /// How the items ended in which nothing had begun, where the run has.
    fn unbegun(&self, tree: &mut Tree<'_>) -> Result<ItemRow, Failure> {
        let ended = self.end_seq.map(|seq| tree.event(seq.cast_unsigned())).transpose()?.flatten();
        Ok(match ended {
            Some(Event::RunEnded(RunEnded { error: Some(error), .. })) => ItemRow {
                item: 0,
                status: self.status,
                result: Some(FlowResult::Failed(error)),
                ended_at: self.ended_at.map(timestamp),
            },
            _ => self.given_up.as_deref().map_or_else(|| ItemRow::running(0), |why| ItemRow::given_up(0, why)),
        })
    }
}

/// See [`stepflow_engine::ports::Queries::plan`].
pub(super) fn plan(access: &Access<'_>, of: RunId) -> Result<Option<Arc<Plan>>, Failure> {
    match Run::find(access.connection, of)? {
        Some(run) => run.plan(&mut run.tree(access)),
        None => Ok(None),
    }
}

/// See [`stepflow_engine::ports::Queries::items`].
pub(super) fn items(access: &Access<'_>, of: RunId, after: Option<u32>, most: usize) -> Result<Vec<ItemRow>, Failure> {
    let Some(run) = Run::find(access.connection, of)? else { return Ok(Vec::new()) };
    let mut tree = run.tree(access);
    let unbegun = run.unbegun(&mut tree)?;
    let first = after.map_or(0, |after| after.saturating_add(1));
    let end = first.saturating_add(u32::try_from(most).unwrap_or(u32::MAX)).min(run.total);
    let mut items: Vec<ItemRow> = (first..end).map(|item| ItemRow { item, ..unbegun.clone() }).collect();
    let sql = "SELECT k, status, result_seq, ended_at FROM item_ends WHERE k >= ?1 AND k < ?2";
    let mut ends = access.connection.prepare_cached(sql)?;
    let mut ends = ends.query([key(run.no, first.into()), key(run.no, end.into())])?;
    while let Some(row) = ends.next()? {
        let item = usize::try_from(place(row.get(0)?)).ok().and_then(|item| item.checked_sub(first as usize));
        let Some(item) = item.and_then(|item| items.get_mut(item)) else { continue };
        item.status = as_execution_status(row.get(1)?);
        item.ended_at = Some(timestamp(row.get(3)?));
        item.result = match tree.event(row.get::<_, i64>(2)?.cast_unsigned())? {
            Some(Event::ItemEnded(ended)) => match ended.result {
                Outcome::Failed(error) => Some(FlowResult::Failed(error)),
                Outcome::Success(place) => tree.value(place)?.map(FlowResult::Success),
            },
            _ => None,
        };
    }
    Ok(items)
}

/// See [`stepflow_engine::ports::Queries::steps`].
pub(super) fn steps(access: &Access<'_>, of: RunId, item: u32) -> Result<Vec<StepRow>, Failure> {
    let Some(run) = Run::find(access.connection, of)? else { return Ok(Vec::new()) };
    let mut tree = run.tree(access);
    let plan = run.plan(&mut tree)?;
    let id_of = |step: u32| plan.as_ref().and_then(|plan| Some(plan.steps.get(step as usize)?.id.clone()));
    let sql = "SELECT step, status, attempts, scheduled_at, ended_at, last_seq FROM steps
               WHERE run_no = ?1 AND item = ?2 ORDER BY step";
    let mut rows = access.connection.prepare_cached(sql)?;
    let mut rows = rows.query(params![run.no, item])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let step = row.get(0)?;
        let ended_at = row.get::<_, Option<i64>>(4)?.map(timestamp);
        let last = ended_at.map(|_| row.get::<_, i64>(5)).transpose()?;
        let last = last.map(|seq| tree.event(seq.cast_unsigned())).transpose()?.flatten();
        let result = match last.as_ref().and_then(StepChange::of) {
            Some((_, StepChange::Ended(result))) => Some(result.clone()),
            _ => None,
        };
        steps.push(StepRow {
            step,
            step_id: id_of(step).unwrap_or_default(),
            status: as_step_status(row.get(1)?),
            attempts: row.get(2)?,
            result,
            scheduled_at: timestamp(row.get(3)?),
            ended_at,
        });
    }
    Ok(steps)
}

/// See [`stepflow_engine::ports::Queries::attempts`].
pub(super) fn attempts(access: &Access<'_>, step: StepRef) -> Result<Vec<AttemptRow>, Failure> {
    let Some(run) = Run::find(access.connection, step.run)? else { return Ok(Vec::new()) };
    let sql = "SELECT first_seq, last_seq FROM steps WHERE run_no = ?1 AND item = ?2 AND step = ?3";
    let mut row = access.connection.prepare_cached(sql)?;
    let row: Option<(i64, i64)> =
        row.query_row(params![run.no, step.item, step.step], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((first, last)) = row.map(|(first, last)| (first.cast_unsigned(), last.cast_unsigned())) else {
        return Ok(Vec::new());
    };
    let Some(Event::StepScheduled(scheduled)) = run.tree(access).event(first)? else { return Ok(Vec::new()) };
    let task = scheduled.task.task_id.to_string();
    let mut records = about(access.connection, &run, &task, first, last)?;
    let attempts = attempts_of(step, records.iter().map(AsRef::as_ref));
    let is_settled = |row: &AttemptRow| !matches!(row.outcome, None | Some(AttemptOutcome::Lost));
    if attempts.iter().all(is_settled) {
        return Ok(attempts);
    }
    // An answer may come after the step's end, or be still to come.
    let seen = records.last().map_or(last, |record| record.seq);
    records.extend(about(access.connection, &run, &task, seen + 1, u64::MAX)?);
    Ok(attempts_of(step, records.iter().map(AsRef::as_ref)))
}

/// The events from one sequence to the row of another that may say something of a task. Only rows that name it are
/// decoded.
fn about(connection: &Connection, run: &Run, task: &str, first: u64, last: u64) -> Result<Vec<Arc<Record>>, Failure> {
    // The row in which the last one stands may end behind it.
    let sql = "SELECT body FROM journal WHERE k >= ?1 AND k <= coalesce(
                   (SELECT min(k) FROM journal WHERE k >= ?2 AND k <= ?3), ?3)
               AND (instr(body, ?4) OR instr(body, 'owner_changed')) ORDER BY k";
    let mut rows = connection.prepare_cached(sql)?;
    let (first_key, last_key) = (key(run.root_no, first), key(run.root_no, last));
    let mut rows = rows.query(params![first_key, last_key, key(run.root_no, u64::MAX), task])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        let decoded = decode(body).map_err(|error| unreadable("the journal of run", run.root, error))?;
        records.extend(decoded.into_iter().filter(|record| record.seq >= first));
    }
    Ok(records)
}
