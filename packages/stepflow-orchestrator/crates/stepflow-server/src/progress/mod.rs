//! Shows the state of a run on stderr: live on a terminal, otherwise a line for each step or item that ended.

mod board;
mod lines;
mod live;

use std::future::Future;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use stepflow_engine::Notice;
use stepflow_flow::Plan;
use stepflow_protocol::RunId;

use crate::stderr::line;

use board::Board;
use lines::Lines;
use live::Live;

/// Without a live display, work that takes longer than this is announced.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a live display moves.
pub const FRAME: Duration = Duration::from_millis(100);

/// Where progress is shown. Clones show it in the same place.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Present when a person is looking.
    bars: Option<MultiProgress>,
}

impl Terminal {
    /// Looks whether stderr is a terminal.
    pub fn detect() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let live = stderr().is_terminal() && !dumb;
        Self { bars: live.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())) }
    }

    /// Does something that writes to stderr, with the live display out of the way.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Waits for something that may take a while, and shows this.
    pub async fn while_waiting<T>(&self, quiet: bool, what: &str, work: impl Future<Output = T>) -> T {
        if quiet {
            return work.await;
        }
        tokio::pin!(work);
        let bar = self.bars.as_ref().map(|bars| bars.add(spinner()));
        let began = Instant::now();
        let mut frames = tokio::time::interval(FRAME);
        let mut announced = false;
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = frames.tick() => match &bar {
                    Some(bar) => bar.set_message(format!("{what} {}", short(began.elapsed()))),
                    None if !announced && began.elapsed() >= PATIENCE => {
                        announced = true;
                        line(format_args!("{what} …"));
                    }
                    None => {}
                },
            }
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        done
    }
}

/// A bar that draws nothing until it has its place among the others.
fn spinner() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style())
}

/// A spinner and a text. The template is a constant, so the default is used only if it has a mistake.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// The progress of one run.
pub struct Progress {
    board: Board,
    display: Display,
}

enum Display {
    Quiet,
    Lines(Lines),
    Live(Live),
}

impl Progress {
    /// Of a run of `plan` over so many items. Its sub-runs show as the steps that wait for them. Events up to the sequence
    /// `before` are those of an earlier process.
    pub fn new(terminal: &Terminal, quiet: bool, plan: &Plan, run: RunId, items: usize, before: u64) -> Self {
        let batch = items != 1;
        let display = match &terminal.bars {
            _ if quiet => Display::Quiet,
            Some(bars) => Display::Live(Live::new(bars.clone(), batch)),
            None => Display::Lines(Lines::new(batch)),
        };
        Self { board: Board::new(plan, run, items, before, Instant::now()), display }
    }

    /// Takes notice of what happened.
    pub fn observe(&mut self, notice: &Notice) {
        let now = Instant::now();
        let Some(change) = self.board.observe(notice, now) else { return };
        match &mut self.display {
            Display::Quiet => {}
            Display::Lines(lines) => lines.show(&self.board, &change, now),
            Display::Live(live) => live.show(&self.board, &change, now),
        }
    }

    /// Moves a live display; to be called every [`FRAME`].
    pub fn tick(&mut self) {
        match &mut self.display {
            Display::Quiet => {}
            Display::Lines(lines) => lines.tick(&self.board, Instant::now()),
            Display::Live(live) => live.tick(&self.board, Instant::now()),
        }
    }

    /// Takes a live display away: the run has ended.
    pub fn finish(&mut self) {
        if let Display::Live(live) = &mut self.display {
            live.clear();
        }
    }

    /// How far the run is, in one sentence.
    pub fn standing(&self) -> String {
        self.board.standing(Instant::now())
    }
}

/// A length of time in a short form.
pub fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.as_millis() < 10 => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        0 if time.as_millis() < 100 => format!("{} ms", time.as_millis()),
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}
