//! What the writer tidies up when it has time, in steps that are small: who wants something stored waits for one at most.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use stepflow_engine::ports::StoreError;
use stepflow_protocol::{BlobId, RunId};
use tokio::sync::oneshot;

use super::disk::Disk;
use super::files::Files;
use super::gauge::Gauges;
use super::options::Retention;
use super::outage;
use super::swept::Swept;
use super::work::{Failure, Work};

/// How long after a round the next one begins.
const ROUND: Duration = Duration::from_secs(10 * 60);

/// How long after the start the first one begins.
const FIRST: Duration = Duration::from_secs(60);

/// How long the queue has to be empty before a step.
const BREATH: Duration = Duration::from_millis(1);

/// How long a step waits at most, though the queue is never empty.
const PATIENCE: Duration = Duration::from_millis(250);

/// How soon after a deletion its rows are taken away: several may come.
const SOON: Duration = Duration::from_secs(1);

/// Who waits for the end of a round.
type Reply = oneshot::Sender<Result<Swept, StoreError>>;

/// How long a step goes on that could end at any row.
const MOMENT: Duration = Duration::from_millis(10);

/// How many of the 256 parts of the folder of files are looked at in a step.
const PARTS: u8 = 16;

/// What is next in a round.
#[derive(Debug, Clone, Copy)]
enum Chore {
    /// Inputs whose runs were never made.
    Stages,
    /// Trees whose time is over, after this one.
    Retention(Option<RunId>),
    /// What is left of deleted trees.
    Rows,
    /// Keys of deleted runs.
    Keys,
    /// Flows that nothing needs, after this one.
    Flows(i64),
    /// Contents that nothing names, after this one.
    Blobs(Option<BlobId>),
    /// Files that no row names, from this part of the folder on.
    Orphans(u8),
}

pub(super) struct Chores {
    retention: Retention,
    /// When the next round begins.
    due: Instant,
    stage: Option<Chore>,
    /// What the round has deleted so far.
    swept: Swept,
    /// When the last step was done.
    stepped: Instant,
    /// Who waits for the end of the round, and of the next one.
    waiting: Vec<Reply>,
    asked: Vec<Reply>,
}

impl Chores {
    pub fn new(retention: Retention) -> Self {
        let now = Instant::now();
        let (waiting, asked) = (Vec::new(), Vec::new());
        Self { retention, due: now + FIRST, stage: None, swept: Swept::default(), stepped: now, waiting, asked }
    }

    /// Begins a round, after the one that has begun.
    pub fn ask(&mut self, reply: Reply) {
        self.asked.push(reply);
        self.due = Instant::now();
    }

    /// Begins a round soon.
    pub fn soon(&mut self) {
        self.due = self.due.min(Instant::now() + SOON);
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
    pub fn step(&mut self, disk: &mut Disk, gauges: &Gauges, files: &Files, epochs: &HashMap<u8, u64>) {
        let stage = match self.stage {
            Some(stage) => stage,
            None if self.due > Instant::now() => return,
            None => {
                self.due = Instant::now() + ROUND;
                self.waiting.append(&mut self.asked);
                Chore::Stages
            }
        };
        let mut removed = Vec::new();
        let next = match stage {
            Chore::Orphans(part) => orphans(disk, gauges, files, part).map(|file_bytes| {
                (part.checked_add(PARTS).map(Chore::Orphans), Swept { file_bytes, ..Swept::default() })
            }),
            _ => disk.transaction(gauges, |connection, known| {
                let mut work = Work { connection, known, epochs, files, removed: &mut removed };
                next(&mut work, &self.retention, stage)
            }),
        };
        self.stepped = Instant::now();
        match next {
            Ok((next, swept)) => {
                self.swept += swept;
                // No row names them any more.
                self.swept.file_bytes += removed.iter().map(|name| files.remove(name)).sum::<u64>();
                self.stage = next;
                if next.is_none() {
                    self.end(None);
                }
            }
            // There is another day.
            Err(why) => self.end(Some(why)),
        }
    }

    /// A whole round at once, for who has the database alone.
    pub fn round(
        mut self,
        disk: &mut Disk,
        gauges: &Gauges,
        files: &Files,
        epochs: &HashMap<u8, u64>,
    ) -> Result<Swept, StoreError> {
        let (reply, mut answer) = oneshot::channel();
        self.ask(reply);
        loop {
            self.step(disk, gauges, files, epochs);
            if let Ok(result) = answer.try_recv() {
                return result;
            }
        }
    }

    /// Ends a round in which something has panicked.
    pub fn give_up(&mut self) {
        self.end(Some(outage::of_panic()));
    }

    /// Ends a round, and tells who waits for it, and the log, what it has deleted.
    fn end(&mut self, failed: Option<StoreError>) {
        self.stage = None;
        let swept = std::mem::take(&mut self.swept);
        if swept != Swept::default() {
            tracing::info!("deleted {swept}");
        }
        let result = failed.map_or(Ok(swept), Err);
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(result.clone());
        }
    }
}

/// Does a step, and says what comes next, and what it has deleted.
fn next(work: &mut Work<'_>, retention: &Retention, stage: Chore) -> rusqlite::Result<(Option<Chore>, Swept)> {
    let mut swept = Swept::default();
    let done = match stage {
        Chore::Stages => work.drop_stages().map(|()| Chore::Retention(None)).map_err(Failure::from),
        Chore::Retention(after) => work.retire(retention, after).map(|(last, deleted)| {
            swept.runs = deleted;
            last.map_or(Chore::Rows, |last| Chore::Retention(Some(last)))
        }),
        Chore::Rows => clear(work).map(|goes_on| if goes_on { Chore::Rows } else { Chore::Keys }),
        Chore::Keys => work.forget_keys().map(|goes_on| if goes_on { Chore::Keys } else { Chore::Flows(0) }),
        Chore::Flows(after) => work.drop_flows(after).map(|last| last.map_or(Chore::Blobs(None), Chore::Flows)),
        Chore::Blobs(after) => match retention.runs {
            Some(age) => work.drop_blobs(age, after).map(|(last, deleted)| {
                swept.blobs = deleted;
                last.map_or(Chore::Orphans(0), |last| Chore::Blobs(Some(last)))
            }),
            None => Ok(Chore::Orphans(0)),
        },
        Chore::Orphans(_) => Ok(stage),
    };
    match done {
        Ok(next) => Ok((Some(next), swept)),
        Err(Failure::Sql(error)) => Err(error),
        // Nobody asked for this one: there is nobody to be refused.
        Err(Failure::Refused(_)) => Ok((Some(Chore::Orphans(0)), Swept::default())),
    }
}

/// Takes away what is left of deleted trees, as much as can be done in a moment: of small ones several share a
/// transaction. Whether there may be more.
fn clear(work: &mut Work<'_>) -> Result<bool, Failure> {
    let began = Instant::now();
    while work.clear()? {
        if began.elapsed() >= MOMENT {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes files away that a crash has left: they were written, and their rows never. Tells how many bytes they had.
fn orphans(disk: &mut Disk, gauges: &Gauges, files: &Files, part: u8) -> Result<u64, StoreError> {
    let names = (part..=part.saturating_add(PARTS - 1)).flat_map(|part| files.names(part));
    let old: Vec<String> = names.filter(|(_, is_old)| *is_old).map(|(name, _)| name).collect();
    if old.is_empty() {
        return Ok(0);
    }
    let named = disk.transaction(gauges, |connection, _| {
        old.iter().map(|name| is_named(connection, name)).collect::<rusqlite::Result<Vec<bool>>>()
    })?;
    Ok(old.iter().zip(named).filter(|(_, is_named)| !is_named).map(|(name, _)| files.remove(name)).sum())
}

fn is_named(connection: &Connection, file: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM vals WHERE file = ?1 UNION ALL SELECT 1 FROM run_items WHERE file = ?1
               UNION ALL SELECT 1 FROM blobs WHERE file = ?1";
    connection.prepare_cached(sql)?.exists([file])
}
