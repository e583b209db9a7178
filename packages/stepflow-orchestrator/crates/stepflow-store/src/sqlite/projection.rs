//! The rows that are computed from events. They are written in the same transaction as the events.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::{OptionalExtension as _, params};
use stepflow_engine::event::{Event, Record, RunCreated, RunEnded, StepRef};
use stepflow_engine::ports::Append;
use stepflow_engine::{StepChange, StepProgress};
use stepflow_protocol::{ExecutionStatus, RunId};

use super::codec::{as_step_status, bytes, execution_status, key, step_status, time, timestamp};
use super::work::Work;

/// A step's row.
struct Step {
    progress: StepProgress,
    first_seq: i64,
    last_seq: i64,
}

/// How many items of a run have ended with a result, an error, a cancellation.
type Ends = (i64, i64, i64);

impl Work<'_> {
    /// Applies the changes of these events.
    pub(super) fn project(&mut self, root_no: i64, append: &Append) -> rusqlite::Result<()> {
        let mut steps: BTreeMap<StepRef, Step> = BTreeMap::new();
        let mut ends: BTreeMap<RunId, Ends> = BTreeMap::new();
        for record in &append.records {
            let seq = record.seq.cast_signed();
            match &record.event {
                Event::RunCreated(created) => self.add_run(root_no, created, record)?,
                Event::ItemEnded(ended) => {
                    let Some(no) = self.number(ended.run)? else { continue };
                    let sql = "REPLACE INTO item_ends (k, status, result_seq, ended_at) VALUES (?1, ?2, ?3, ?4)";
                    let status = execution_status(ended.status);
                    self.execute(sql, params![key(no, ended.item.into()), status, seq, time(record.at)])?;
                    let ends = ends.entry(ended.run).or_default();
                    match ended.status {
                        ExecutionStatus::Completed => ends.0 += 1,
                        ExecutionStatus::Failed => ends.1 += 1,
                        ExecutionStatus::Cancelled => ends.2 += 1,
                        ExecutionStatus::Running | ExecutionStatus::RecoveryFailed => {}
                    }
                }
                Event::RunEnded(ended) => {
                    self.count_ends(ended.run, ends.remove(&ended.run).unwrap_or_default())?;
                    self.end_run(ended, record)?;
                }
                _ => {}
            }
            let Some((at, change)) = StepChange::of(&record.event) else { continue };
            let step = match steps.entry(at) {
                Entry::Occupied(step) => step.into_mut(),
                Entry::Vacant(place) => {
                    let new = || Step { progress: StepProgress::new(record.at), first_seq: seq, last_seq: seq };
                    place.insert(self.step(at)?.unwrap_or_else(new))
                }
            };
            step.progress.apply(&change, record.at);
            step.last_seq = seq;
        }
        ends.into_iter().try_for_each(|(run, ends)| self.count_ends(run, ends))?;
        steps.into_iter().try_for_each(|(at, step)| self.put_step(at, &step))
    }

    fn count_ends(&self, run: RunId, (completed, failed, cancelled): Ends) -> rusqlite::Result<()> {
        if (completed, failed, cancelled) == Ends::default() {
            return Ok(());
        }
        let sql = "UPDATE runs SET completed = completed + ?2, failed = failed + ?3, cancelled = cancelled + ?4
                   WHERE id = ?1";
        self.execute(sql, params![bytes(run), completed, failed, cancelled]).map(drop)
    }

    fn add_run(&mut self, root_no: i64, created: &RunCreated, record: &Record) -> rusqlite::Result<()> {
        let no = if created.run == created.root { root_no } else { self.draw_number()? };
        self.is_number(created.run, no);
        let sql = "INSERT INTO runs
                   (no, id, root_no, parent, flow, flow_name, status, total, created_at, overrides_seq)
                   VALUES (?1, ?2, ?3, ?4, ?5, (SELECT name FROM flows WHERE id = ?5), 0, ?6, ?7, ?8)";
        let (parent, flow) = (created.above().map(bytes), created.flow_id.bytes());
        let overrides = created.overrides.as_ref().map(|_| record.seq.cast_signed());
        let row = params![no, bytes(created.run), root_no, parent, flow, created.items, time(record.at), overrides];
        self.execute(sql, row).map(drop)
    }

    fn end_run(&self, ended: &RunEnded, record: &Record) -> rusqlite::Result<()> {
        // The items in which nothing had begun end with their run.
        let rest = match ended.status {
            ExecutionStatus::Completed => "completed = total - failed - cancelled",
            ExecutionStatus::Failed => "failed = total - completed - cancelled",
            ExecutionStatus::Cancelled | ExecutionStatus::Running | ExecutionStatus::RecoveryFailed => {
                "cancelled = total - completed - failed"
            }
        };
        let sql = format!("UPDATE runs SET status = ?2, ended_at = ?3, end_seq = ?4, {rest} WHERE id = ?1");
        let seq = ended.error.as_ref().map(|_| record.seq.cast_signed());
        let row = params![bytes(ended.run), execution_status(ended.status), time(record.at), seq];
        self.execute(&sql, row).map(drop)
    }

    fn step(&mut self, at: StepRef) -> rusqlite::Result<Option<Step>> {
        let Some(no) = self.number(at.run)? else { return Ok(None) };
        let sql = "SELECT status, attempts, first_seq, last_seq, scheduled_at, ended_at FROM steps
                   WHERE run_no = ?1 AND item = ?2 AND step = ?3";
        let mut step = self.connection.prepare_cached(sql)?;
        let step = step.query_row(params![no, at.item, at.step], |row| {
            let progress = StepProgress {
                status: as_step_status(row.get(0)?),
                attempts: row.get(1)?,
                scheduled_at: timestamp(row.get(4)?),
                ended_at: row.get::<_, Option<i64>>(5)?.map(timestamp),
                result: None,
            };
            Ok(Step { progress, first_seq: row.get(2)?, last_seq: row.get(3)? })
        });
        step.optional()
    }

    fn put_step(&mut self, at: StepRef, step: &Step) -> rusqlite::Result<()> {
        let Some(no) = self.number(at.run)? else { return Ok(()) };
        let sql = "INSERT OR REPLACE INTO steps
                   (run_no, item, step, status, attempts, first_seq, last_seq, scheduled_at, ended_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let StepProgress { status, attempts, scheduled_at, ended_at, .. } = &step.progress;
        let (scheduled_at, ended_at) = (time(*scheduled_at), ended_at.map(time));
        let status = step_status(*status);
        let row =
            params![no, at.item, at.step, status, attempts, step.first_seq, step.last_seq, scheduled_at, ended_at];
        self.execute(sql, row)?;
        Ok(())
    }
}
