//! Progress on a terminal. What has ended scrolls up. Below it are the running steps with their times, and a summary. A
//! batch has too many steps to show: it has the summary, and each reason why items failed.

use std::collections::BTreeMap;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar};

use super::board::{Board, Change};
use super::lines::step_line;
use super::{short, spinner};
use crate::stderr::{Paint, shown};

/// How many running steps are shown, each on a line.
const SHOWN: usize = 10;

/// How many reasons of failures are shown.
const FAILURES: usize = 5;

/// Draws.
pub struct Live {
    bars: MultiProgress,
    steps: BTreeMap<(u32, u32), ProgressBar>,
    tally: ProgressBar,
    batch: bool,
    failures: Vec<Failures>,
}

/// Items of a batch that failed for the same reason.
struct Failures {
    message: String,
    count: usize,
    bar: ProgressBar,
}

impl Live {
    pub fn new(bars: MultiProgress, batch: bool) -> Self {
        let tally = bars.add(spinner());
        Self { bars, steps: BTreeMap::new(), tally, batch, failures: Vec::new() }
    }

    pub fn show(&mut self, board: &Board, change: &Change, now: Instant) {
        match change {
            Change::StepEnded { step, failed, took, lost } if !self.batch => {
                self.close((step.item, step.step));
                self.above(step_line(board, step.step, failed.is_some(), *took, *lost));
            }
            Change::ItemEnded { failed: Some(message) } if self.batch => self.show_failure(message),
            Change::Open(_) | Change::StepEnded { .. } | Change::ItemEnded { .. } => {}
        }
        self.tick(board, now);
    }

    pub fn tick(&mut self, board: &Board, now: Instant) {
        if !self.batch {
            self.show_steps(board, now);
        }
        self.tally.set_message(format!(
            "{}{}, {} under way {}",
            board.tally(),
            board.pace(now),
            board.open().count(),
            Paint::Faint.on(short(board.elapsed(now)))
        ));
        self.tally.tick();
    }

    fn show_steps(&mut self, board: &Board, now: Instant) {
        for (place, open) in board.open() {
            if !self.steps.contains_key(&place) {
                if self.steps.len() >= SHOWN {
                    continue;
                }
                self.steps.insert(place, self.bars.insert_before(&self.tally, spinner()));
            }
            let Some(bar) = self.steps.get(&place) else { continue };
            let attempt = if open.progress.attempts > 1 {
                format!(", attempt {}", open.progress.attempts)
            } else {
                String::new()
            };
            let time = short(now.duration_since(open.since));
            let name = board.names(place.1).0;
            let text = format!("{name} {}", Paint::Faint.on(format_args!("{time}{attempt}")));
            bar.set_message(shown(&text).into_owned());
            bar.tick();
        }
    }

    pub fn clear(&mut self) {
        for bar in std::mem::take(&mut self.steps).into_values() {
            bar.finish_and_clear();
        }
        for failures in std::mem::take(&mut self.failures) {
            failures.bar.finish_and_clear();
        }
        self.tally.finish_and_clear();
    }

    fn close(&mut self, place: (u32, u32)) {
        if let Some(bar) = self.steps.remove(&place) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    /// Each message once, with its number: in a batch many items often fail for the same reason.
    fn show_failure(&mut self, message: &str) {
        let known = self.failures.iter().position(|failures| failures.message == message);
        let place = match known {
            Some(place) => place,
            None if self.failures.len() >= FAILURES => return,
            None => {
                let bar = self.bars.insert_before(&self.tally, spinner());
                self.failures.push(Failures { message: message.to_owned(), count: 0, bar });
                self.failures.len() - 1
            }
        };
        let failures = &mut self.failures[place];
        failures.count += 1;
        let first_line = message.lines().next().unwrap_or_default();
        let times = Paint::Faint.on(format_args!("{}×", failures.count));
        let text = format!("{} {times} {first_line}", Paint::Error.on("failed"));
        failures.bar.set_message(shown(&text).into_owned());
        failures.bar.tick();
    }

    /// A line above the part that moves. If the terminal is gone, nothing is written.
    fn above(&self, text: String) {
        let _ = self.bars.println(shown(&text));
    }
}
