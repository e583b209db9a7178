//! What the writer tidies up when it has time, in steps that are small: who wants something stored waits for one at most.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use stepflow_engine::ports::StoreError;
use tokio::sync::oneshot;

use super::disk::Disk;
use super::files::Files;
use super::gauge::Gauges;

/// How long after a round the next one begins.
const ROUND: Duration = Duration::from_secs(10 * 60);

/// How long after the start the first one begins.
const FIRST: Duration = Duration::from_secs(60);

/// How long the queue has to be empty before a step.
const BREATH: Duration = Duration::from_millis(1);

/// How long a step waits at most, though the queue is never empty.
const PATIENCE: Duration = Duration::from_millis(250);

/// Who waits for the end of a round.
type Reply = oneshot::Sender<Result<(), StoreError>>;

/// What is next in a round.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Files that no row names, in a part of the folder.
    Orphans(u8),
}

pub(super) struct Chores {
    /// When the next round begins.
    due: Instant,
    stage: Option<Stage>,
    /// When the last step was done.
    stepped: Instant,
    /// Who waits for the end of a round.
    waiting: Vec<Reply>,
}

impl Chores {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { due: now + FIRST, stage: None, stepped: now, waiting: Vec::new() }
    }

    /// Begins a round, after the one that has begun.
    pub fn ask(&mut self, reply: Reply) {
        self.waiting.push(reply);
        self.due = Instant::now();
    }

    pub fn is_under_way(&self) -> bool {
        self.stage.is_some()
    }

    /// How long the queue has to be empty before the next step.
    pub fn pause(&self) -> Duration {
        if self.is_under_way() { BREATH } else { self.due.saturating_duration_since(Instant::now()) }
    }

    /// Whether a step has waited too long.
    pub fn is_late(&self) -> bool {
        self.stepped.elapsed() >= PATIENCE && (self.is_under_way() || self.due <= Instant::now())
    }

    /// Does a step, if one is due.
    pub fn step(&mut self, disk: &mut Disk, gauges: &Gauges, files: &Files) {
        if self.stage.is_none() && self.due > Instant::now() {
            return;
        }
        let stage = self.stage.unwrap_or(Stage::Orphans(0));
        let result = match stage {
            Stage::Orphans(part) => {
                orphans(disk, gauges, files, part).map(|()| part.checked_add(1).map(Stage::Orphans))
            }
        };
        self.stepped = Instant::now();
        match result {
            Ok(Some(stage)) => self.stage = Some(stage),
            Ok(None) => self.end(Ok(())),
            // There is another day.
            Err(why) => self.end(Err(why)),
        }
    }

    fn end(&mut self, result: Result<(), StoreError>) {
        self.stage = None;
        self.due = Instant::now() + ROUND;
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(result.clone());
        }
    }
}

/// Takes files away that a crash has left: they were written, and their rows never.
fn orphans(disk: &mut Disk, gauges: &Gauges, files: &Files, part: u8) -> Result<(), StoreError> {
    let old: Vec<String> = files.names(part).into_iter().filter(|(_, is_old)| *is_old).map(|(name, _)| name).collect();
    if old.is_empty() {
        return Ok(());
    }
    let named = disk.transaction(gauges, |connection, _| {
        old.iter().map(|name| is_named(connection, name)).collect::<rusqlite::Result<Vec<bool>>>()
    })?;
    old.iter().zip(named).filter(|(_, is_named)| !is_named).for_each(|(name, _)| files.remove(name));
    Ok(())
}

fn is_named(connection: &Connection, file: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM vals WHERE file = ?1 UNION ALL SELECT 1 FROM run_items WHERE file = ?1
               UNION ALL SELECT 1 FROM blobs WHERE file = ?1";
    connection.prepare_cached(sql)?.exists([file])
}
