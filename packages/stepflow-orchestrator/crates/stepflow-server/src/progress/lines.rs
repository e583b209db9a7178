//! Progress without a person at a terminal: a line for each step that ended; for a batch, one from time to time.

use std::time::{Duration, Instant};

use super::board::{Board, Change};
use super::short;
use crate::stderr::{Paint, line};

/// How often a batch writes a line.
const EVERY: Duration = Duration::from_secs(1);

/// Writes lines.
pub struct Lines {
    batch: bool,
    said: Instant,
    unsaid: bool,
}

impl Lines {
    pub fn new(batch: bool) -> Self {
        Self { batch, said: Instant::now(), unsaid: false }
    }

    pub fn show(&mut self, board: &Board, change: &Change, now: Instant) {
        match change {
            Change::StepEnded { step, failed, took, lost } if !self.batch => {
                line(step_line(board, step.step, failed.is_some(), *took, *lost));
            }
            Change::ItemEnded { .. } if self.batch => {
                self.unsaid = true;
                self.tick(board, now);
            }
            _ => {}
        }
    }

    pub fn tick(&mut self, board: &Board, now: Instant) {
        if self.unsaid && now.duration_since(self.said) >= EVERY {
            (self.unsaid, self.said) = (false, now);
            line(format_args!("after {}: {}", short(board.elapsed(now)), board.standing(now)));
        }
    }
}

/// `done    clean (/python/clean_days) in 0.3 s`; without a time it had ended before this command. `lost` items of its
/// sub-run failed, although it did not.
pub fn step_line(board: &Board, step: u32, failed: bool, took: Option<Duration>, lost: usize) -> String {
    let (id, component) = board.names(step);
    let word = if failed { Paint::Error.on("failed") } else { Paint::Success.on("done  ") };
    let when = took.map_or_else(|| "before this command".to_owned(), |took| format!("in {}", short(took)));
    let ended = format!("{word} {id} {}", Paint::Faint.on(format_args!("({component}) {when}")));
    match lost {
        _ if failed => ended,
        0 => ended,
        1 => format!("{ended}, {}", Paint::Warning.on("1 item of its sub-run failed")),
        more => format!("{ended}, {}", Paint::Warning.on(format_args!("{more} items of its sub-run failed"))),
    }
}
