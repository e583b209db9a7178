//! Inputs of runs that are not made yet. They stand under the number that the root will have, so nothing is moved when it
//! is made.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use stepflow_engine::ports::{StagedInputs, StoreError};
use stepflow_protocol::Value;

use super::codec::{key, time};
use super::work::{Failure, Work};

/// About how many bytes of inputs are stored in one transaction.
const PART: usize = 1 << 20;

/// About how many bytes an input takes besides its value.
const INPUT: usize = 64;

/// How long a stage waits for the next inputs, or for its run.
const WAITS: i64 = 60 * 60 * 1_000_000;

impl Work<'_> {
    /// Stores the next inputs of a stage, or the first ones of a new one.
    pub fn stage(&mut self, after: Option<StagedInputs>, inputs: &[Value]) -> Result<StagedInputs, Failure> {
        let (no, items) = match after {
            Some(stage) => (self.check_stage(stage)?, stage.items),
            None => (self.draw_number()?, 0),
        };
        let placed = inputs.iter().map(|input| self.files.place(input)).collect::<Result<Vec<_>, StoreError>>()?;
        for ((input, placed), item) in inputs.iter().zip(placed).zip(u64::from(items)..) {
            let (text, file) = placed.columns();
            self.execute(
                "INSERT INTO run_items (k, input, file) VALUES (?1, ?2, ?3)",
                params![key(no, item), text, file],
            )?;
            self.uses(no, input.as_str())?;
        }
        let items = items.saturating_add(u32::try_from(inputs.len()).unwrap_or(u32::MAX));
        let sql = "INSERT OR REPLACE INTO stages (no, items, put_at) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![no, items, time(Timestamp::now())])?;
        Ok(StagedInputs { number: no, items })
    }

    /// The number of a stage, if it has just these inputs.
    pub fn check_stage(&self, stage: StagedInputs) -> Result<i64, Failure> {
        let mut items = self.connection.prepare_cached("SELECT items FROM stages WHERE no = ?1")?;
        let items: Option<u32> = items.query_row([stage.number], |row| row.get(0)).optional()?;
        let id = || format!("{} of {} inputs", stage.number, stage.items);
        let is_it = items == Some(stage.items);
        is_it.then_some(stage.number).ok_or_else(|| StoreError::NotFound { what: "stage", id: id() }.into())
    }

    /// The stage is a run's.
    pub fn take_stage(&self, stage: StagedInputs) -> rusqlite::Result<()> {
        self.execute("DELETE FROM stages WHERE no = ?1", [stage.number]).map(drop)
    }

    /// Gives up stages that have waited for too long.
    pub fn drop_stages(&self) -> rusqlite::Result<()> {
        drop_stages(self.connection, time(Timestamp::now()) - WAITS)
    }
}

/// Gives up what another process has staged: nobody can name it any more.
pub(super) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    if connection.prepare("SELECT 1 FROM stages")?.exists([])? {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        drop_stages(connection, i64::MAX)?;
        connection.execute_batch("COMMIT")?;
    }
    Ok(())
}

/// Inputs in parts for a transaction each.
pub(super) fn parts(inputs: Vec<Value>) -> Vec<Vec<Value>> {
    let mut parts: Vec<Vec<Value>> = Vec::new();
    let mut room = 0;
    for input in inputs {
        let size = INPUT + input.size();
        match parts.last_mut().filter(|_| size <= room) {
            Some(part) => {
                room -= size;
                part.push(input);
            }
            None => {
                room = PART.saturating_sub(size);
                parts.push(vec![input]);
            }
        }
    }
    parts
}

/// Gives up the stages that have heard nothing since this time.
pub(super) fn drop_stages(connection: &Connection, before: i64) -> rusqlite::Result<()> {
    let mut stages = connection.prepare_cached("SELECT no FROM stages WHERE put_at < ?1")?;
    let stages: Vec<i64> = stages.query_map([before], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for no in stages {
        connection.execute("INSERT INTO deleted (root_no) VALUES (?1)", [no])?;
        connection.execute("DELETE FROM stages WHERE no = ?1", [no])?;
    }
    Ok(())
}
