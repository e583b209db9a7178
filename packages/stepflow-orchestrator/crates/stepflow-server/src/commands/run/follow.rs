//! Follows a run to its end: shows its progress and writes its results. When it is interrupted, it lets steps end first
//! if the run is kept: what they have done is not done again.

use std::time::Duration;

use stepflow_engine::Notice;
use stepflow_engine::event::Event;
use stepflow_flow::Plan;
use stepflow_protocol::{ExecutionStatus, FlowResult, RunId};

use super::failure;
use super::result::Results;
use super::state::State;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::progress::{FRAME, Progress, Terminal, short};
use crate::service::Service;
use crate::stderr::{Paint, line};
use crate::store::Store;

/// What to do about a run that is kept and was not finished.
const GOES_ON: &str = "the same command with `--resume` goes on";

/// Follows a run.
pub struct Follower<'a> {
    pub service: &'a Service,
    pub terminal: &'a Terminal,
    pub quiet: bool,
    pub results: Results,
    pub state: Option<State>,
    /// How long steps may go on after an interrupt, when the run is kept.
    pub grace: Duration,
}

/// What happens to a run that was interrupted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is cancelled.
    Cancelled,
    /// Its steps end, and no others begin.
    Draining,
}

impl Follower<'_> {
    /// Follows a run from its beginning to its end; `resumed` when an earlier process has begun it. `None` when the user
    /// interrupted it twice.
    pub async fn follow(
        mut self,
        run: RunId,
        resumed: bool,
        plan: &Plan,
        items: usize,
        interrupts: &mut Interrupts,
    ) -> Result<Option<Exit>, Failure> {
        let (service, terminal) = (self.service, self.terminal);
        let engine = &service.engine;
        let before = if resumed { service.store.records(run).last().await? } else { 0 };
        let mut progress = Progress::new(terminal, self.quiet, plan, run, items, before);
        let mut notices = engine.subscribe(run, 0);
        // A run of an earlier process goes on because somebody waits for it.
        let waiting = engine.ended(run, None);
        tokio::pin!(waiting);
        let mut is_waiting = true;
        let drained = drain(service, self.grace);
        tokio::pin!(drained);
        let mut frames = tokio::time::interval(FRAME);
        let mut ending = None;
        // The last event that was shown, and the last one of those that were let end.
        let (mut seen, mut upto) = (0, None);
        loop {
            if upto.is_some_and(|upto| seen >= upto) {
                progress.finish();
                line(format_args!("{} {GOES_ON}", Paint::Hint.on("hint:")));
                self.results.interrupted()?;
                return Ok(Some(Exit::Interrupted));
            }
            let goes_on = tokio::select! {
                notice = notices.next() => match notice.map_err(|error| Failure::outside(error.to_string()))? {
                    Some(notice) => {
                        let is_read = self.observe(&mut progress, run, &notice).await?;
                        if let Notice::Record(record) = &notice {
                            seen = record.seq;
                            if matches!(&record.event, Event::RunEnded(ended) if ended.run == run) {
                                break;
                            }
                        }
                        // Without a reader nothing is to be done any more. A run that is interrupted already comes to
                        // its end.
                        is_read || ending.is_some()
                    }
                    None => break,
                },
                () = &mut waiting, if is_waiting => {
                    is_waiting = false;
                    true
                }
                () = &mut drained, if ending == Some(Ending::Draining) && upto.is_none() => {
                    // What the steps have done is shown and written as usual.
                    upto = Some(service.store.records_after(run, seen).last().await?);
                    true
                }
                _ = frames.tick() => {
                    progress.tick();
                    true
                }
                () = interrupts.next() => {
                    if ending.is_some() {
                        progress.finish();
                        self.results.interrupted()?;
                        return Ok(None);
                    }
                    false
                }
            };
            if goes_on {
                continue;
            }
            if self.state.is_some() {
                ending = Some(Ending::Draining);
                terminal.aside(|| self.say_interrupted(&progress));
                continue;
            }
            ending = Some(Ending::Cancelled);
            // The run may have just ended; then its result is reported as usual.
            let _ = engine.cancel(run, "user", Some("interrupted")).await;
        }
        progress.finish();
        conclude(&service.store, self.state.as_ref(), self.results, run, plan, ending.is_some()).await.map(Some)
    }

    fn say_interrupted(&self, progress: &Progress) {
        line(format_args!("{}: {}", Paint::Error.on("interrupted"), progress.standing()));
        // Those that have just begun may not be shown yet, so nobody looks whether there are some.
        if !self.grace.is_zero() {
            line(letting_steps_end(self.grace));
        }
    }

    /// Shows what has happened, and writes the result of an item that has ended; `false` when nobody reads the results.
    async fn observe(&mut self, progress: &mut Progress, run: RunId, notice: &Notice) -> Result<bool, Failure> {
        progress.observe(notice);
        let Notice::Record(record) = notice else { return Ok(true) };
        if matches!(&record.event, Event::CancelAsked(asked) if asked.run.is_none()) {
            let standing = progress.standing();
            self.terminal.aside(|| line(format_args!("{}: {standing}", Paint::Error.on("interrupted"))));
        }
        match self.results.line(&self.service.store, run, &record.event).await? {
            Some(text) => self.terminal.aside(|| self.results.write(&text)),
            None => Ok(true),
        }
    }
}

/// Lets steps end that are under way, for so long at most, and begins no others.
async fn drain(service: &Service, grace: Duration) {
    let _ = tokio::time::timeout(grace, service.drain()).await;
}

fn letting_steps_end(grace: Duration) -> String {
    format!("letting steps end, for {} at most; Ctrl-C again ends at once", short(grace))
}

/// Lets the steps of a kept run end although its results cannot be written any more, and tells the user how to go on.
pub async fn after_failure(
    failure: Failure,
    service: &Service,
    grace: Duration,
    interrupts: &mut Interrupts,
) -> Failure {
    if !grace.is_zero() {
        line(letting_steps_end(grace));
    }
    tokio::select! {
        () = drain(service, grace) => {}
        () = interrupts.next() => {}
    }
    failure.hint(GOES_ON)
}

/// Writes the result of a run that has ended, and reports what went wrong.
pub async fn conclude(
    store: &Store,
    state: Option<&State>,
    mut results: Results,
    run: RunId,
    plan: &Plan,
    interrupted: bool,
) -> Result<Exit, Failure> {
    let status = store.queries.run(run).await?.map(|row| row.status);
    // Of a batch only the errors are kept: its results have been written item by item.
    let (mut failed, mut total, mut only) = (Vec::new(), 0, None);
    let mut pages = store.items(run);
    while let Some(page) = pages.next().await? {
        total += page.len();
        for row in page {
            if let Some(text) = row.result.as_ref().map(|result| results.item(row.item, result)).transpose()?.flatten()
            {
                results.write(&text)?;
            }
            only = row.result.clone();
            if let Some(FlowResult::Failed(error)) = row.result {
                failed.push((row.item, error));
            }
        }
    }
    match status {
        Some(ExecutionStatus::Completed | ExecutionStatus::Failed) => {}
        Some(ExecutionStatus::Cancelled) if interrupted => {
            results.interrupted()?;
            return Ok(Exit::Interrupted);
        }
        other => return Err(Failure::outside(format!("the run did not end: its status is {other:?}"))),
    }
    let were_read = results.finish(only.as_ref())?;
    if let Some(state) = state {
        if !were_read {
            line(format_args!("{}: nobody reads the results", Paint::Error.on("interrupted")));
            line(format_args!("{} the same command with `--resume` prints them", Paint::Hint.on("hint:")));
            return Ok(Exit::Interrupted);
        }
        state.printed(run)?;
    }
    if status == Some(ExecutionStatus::Completed) {
        return Ok(Exit::Success);
    }
    failure::report(plan, total, &failed);
    Ok(Exit::Failed)
}
