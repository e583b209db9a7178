//! Whether a tree's journal says what the tree's rows say.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};
use stepflow_engine::StepProgress;
use stepflow_engine::event::{Record, StepRef, ValueRef};
use stepflow_engine::machine::{Building, Machine};
use stepflow_protocol::{ExecutionStatus, RunId};

use super::super::codec::{as_step_status, bytes, decode, key, run, timestamp};
use super::super::queries::{RUN, run_row};
use super::{Check, bytes_of};
use crate::rows::Rows;

impl Check<'_> {
    /// Folds a tree's journal, and compares it with the tree's rows.
    pub(super) fn tree(&mut self, no: i64, root: RunId) -> rusqlite::Result<()> {
        let place = format!("run {root}");
        let mut building = Machine::building(root);
        let mut rows = Rows::default();
        let mut after = 0;
        loop {
            let sql = "SELECT k, n, body FROM journal WHERE k > ?1 AND k <= ?2 ORDER BY k LIMIT 1";
            let parameters = [key(no, after), key(no, u64::MAX)];
            let mut row = self.connection.prepare_cached(sql)?;
            let row = row.query_row(parameters, |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, bytes_of(row, 2)?.unwrap_or_default()))
            });
            let Some((k, n, body)) = row.optional()? else { break };
            let records = match decoded(body) {
                Ok(records) => records,
                Err(error) => {
                    self.find(&place, &format!("the journal cannot be read behind sequence {after}: {error}"));
                    return Ok(());
                }
            };
            let dense = records.iter().zip(after + 1..).all(|(record, seq)| record.seq == seq);
            let last = after + records.len() as u64;
            if !dense || key(no, last) != k || i64::try_from(records.len()) != Ok(n) {
                self.find(&place, &format!("the journal has a gap behind sequence {after}"));
                return Ok(());
            }
            for record in &records {
                if record.event.value() == Some(&ValueRef::Row(record.seq)) {
                    let there = "SELECT 1 FROM vals WHERE k = ?1";
                    if !self.connection.prepare_cached(there)?.exists([key(no, record.seq)])? {
                        self.find(&place, &format!("the value of sequence {} is not there", record.seq));
                    }
                }
                // A journal that lacks something may lead to what a machine never meets.
                let folds = catch_unwind(AssertUnwindSafe(|| {
                    building.fold(record);
                    rows.apply(record);
                }));
                if folds.is_err() {
                    self.find(&place, &format!("the journal cannot be folded from sequence {} on", record.seq));
                    return Ok(());
                }
            }
            after = last;
        }
        self.compare(&place, no, building, &rows)
    }

    fn compare(&mut self, place: &str, no: i64, building: Building, rows: &Rows) -> rusqlite::Result<()> {
        let sql = format!("{RUN} WHERE runs.root_no = ?1");
        let stored = self.rows(place, &sql, [no], run_row)?;
        let mut stored: BTreeMap<RunId, _> = stored.into_iter().map(|row| (row.run, row)).collect();
        let machine = building.finish();
        for (of, row) in &rows.runs {
            let place = if *of == row.root { place.to_owned() } else { format!("{place}, sub-run {of}") };
            let Some(stored) = stored.remove(of) else {
                self.find(&place, &"it has no row");
                continue;
            };
            let (status, items) = (stored.status, stored.items);
            if status == ExecutionStatus::RecoveryFailed {
                self.find(&place, &"it was given up");
            } else if (status, items) != (row.status, row.items) || stored.ended_at.is_some() != row.ended_at.is_some()
            {
                let problem = format!("its row says {status:?} {items:?}, its events {:?} {:?}", row.status, row.items);
                self.find(&place, &problem);
            }
            let folded = machine.state().runs.get(of).map(|run| run.status);
            // A machine forgets sub-runs that have ended.
            let is_forgotten = folded.is_none() && *of != row.root && row.status.is_terminal();
            if folded != Some(row.status) && !is_forgotten {
                self.find(&place, &format!("its events say {:?}, folded they are {folded:?}", row.status));
            }
            self.items(&place, *of, rows)?;
        }
        stored.keys().for_each(|of| self.find(&place, &format!("run {of} has a row and no event")));
        self.steps(place, no, rows)
    }

    /// The inputs and the ends of a run's items.
    fn items(&mut self, place: &str, of: RunId, rows: &Rows) -> rusqlite::Result<()> {
        let no: i64 = self.connection.query_row("SELECT no FROM runs WHERE id = ?1", [bytes(of)], |row| row.get(0))?;
        let range = params![key(no, 0), key(no, u64::MAX)];
        let total = rows.runs.get(&of).map_or(0, |row| row.items.total);
        let inputs: u32 =
            self.connection
                .query_row("SELECT count(*) FROM run_items WHERE k BETWEEN ?1 AND ?2", range, |row| row.get(0))?;
        if inputs != total {
            self.find(&place, &format!("it has {total} items and {inputs} inputs"));
        }
        let ended = (0..total).filter(|item| rows.has_own_end(of, *item)).count();
        let ends: i64 =
            self.connection
                .query_row("SELECT count(*) FROM item_ends WHERE k BETWEEN ?1 AND ?2", range, |row| row.get(0))?;
        if i64::try_from(ended) != Ok(ends) {
            self.find(&place, &format!("{ended} items have ended, and {ends} have a row of that"));
        }
        Ok(())
    }

    fn steps(&mut self, place: &str, no: i64, rows: &Rows) -> rusqlite::Result<()> {
        let sql = "SELECT runs.id, item, step, steps.status, attempts, scheduled_at, steps.ended_at
                   FROM runs JOIN steps ON run_no = no WHERE root_no = ?1";
        let stored = self.rows(place, sql, [no], |row| {
            let at = StepRef { run: run(row.get(0)?), item: row.get(1)?, step: row.get(2)? };
            let progress = StepProgress {
                status: as_step_status(row.get(3)?),
                attempts: row.get(4)?,
                scheduled_at: timestamp(row.get(5)?),
                ended_at: row.get::<_, Option<i64>>(6)?.map(timestamp),
                result: None,
            };
            Ok((at, progress))
        })?;
        let stored: BTreeMap<StepRef, StepProgress> = stored.into_iter().collect();
        let told = |progress: &StepProgress| (progress.status, progress.attempts, progress.ended_at.is_some());
        for at in stored.keys().chain(rows.steps.keys().filter(|at| !stored.contains_key(at))) {
            let (row, events) = (stored.get(at).map(told), rows.steps.get(at).map(told));
            if row != events {
                let StepRef { run, item, step } = at;
                let problem =
                    format!("step {step} of item {item} of run {run}: its row says {row:?}, its events {events:?}");
                self.find(&place, &problem);
            }
        }
        Ok(())
    }
}

/// The events of a row of the journal.
fn decoded(body: Vec<u8>) -> Result<Vec<Arc<Record>>, String> {
    let body = String::from_utf8(body).map_err(|error| error.to_string())?;
    decode(&body).map_err(|error| error.to_string())
}
