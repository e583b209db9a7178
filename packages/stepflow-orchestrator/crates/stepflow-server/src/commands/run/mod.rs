//! `run`: one flow, in this process, in memory.

mod checks;
mod failure;
mod input;
mod result;

use std::sync::Arc;
use std::time::Duration;

use stepflow_engine::event::Event;
use stepflow_engine::{Error, Notice, Submission};
use stepflow_flow::Plan;
use stepflow_protocol::{ExecutionStatus, RunId};

use crate::cli::RunArgs;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::progress::{FRAME, Progress, Terminal};
use crate::service::{Needs, Service};
use crate::stderr::{Paint, line};

use result::Results;

/// How long a worker may take to end by itself; somebody waits for the prompt.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a flow and prints its result.
pub async fn run(args: RunArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let flow = args.flow();
    let document = checks::read(&flow, args.no_check)?;
    let plan = Arc::clone(&document.plan);
    let inputs = input::read(&args.input, &plan)?;
    let config = config::find(&args.components, Some(&flow))?;
    config.refuse_what_is_not_built()?;
    let mut interrupts =
        Interrupts::listen().map_err(|error| Failure::outside(format!("cannot listen for Ctrl-C: {error}")))?;
    let service = Service::new(&config, GRACE).map_err(|error| Failure::outside(error.to_string()))?;
    let ended = async {
        if !start(&service, &plan, &args, &terminal, &mut interrupts).await? {
            line(format_args!("{}: no step had begun", Paint::Error.on("interrupted")));
            return Ok(Some(Exit::Interrupted));
        }
        checks::components(document, &service, &config, args.no_check)?;
        let results = Results::open(&args)?;
        let submission =
            Submission { plan: Arc::clone(&plan), inputs, variables: None, max_concurrency: args.max_concurrency };
        Watch { service: &service, terminal: &terminal, quiet: args.quiet, results }
            .follow(submission, &mut interrupts)
            .await
    };
    let ended = ended.await;
    if matches!(ended, Ok(None)) {
        return Ok(Exit::Interrupted);
    }
    tokio::select! {
        () = terminal.while_waiting(args.quiet, "waiting for the workers to end", service.shutdown()) => {}
        () = interrupts.next() => {}
    }
    ended.map(|exit| exit.unwrap_or(Exit::Interrupted))
}

/// Starts what the flow needs; false when that was interrupted.
async fn start(
    service: &Service,
    plan: &Plan,
    args: &RunArgs,
    terminal: &Terminal,
    interrupts: &mut Interrupts,
) -> Result<bool, Failure> {
    let needs = Needs::Plan(plan);
    let names: Vec<String> = service.names(needs).iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return Ok(true);
    }
    let what = format!("starting the worker of {}", names.join(", "));
    tokio::select! {
        started = terminal.while_waiting(args.quiet, &what, service.start(needs)) => match started {
            Ok(()) => Ok(true),
            Err(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Err(Failure::outside(errors.join("\nerror: ")))
            }
        },
        () = interrupts.next() => Ok(false),
    }
}

/// Somebody who stays with a run: what they see of it, and where its results go.
struct Watch<'a> {
    service: &'a Service,
    terminal: &'a Terminal,
    quiet: bool,
    results: Results,
}

impl Watch<'_> {
    /// Submits the run and stays with it to its end. `None`: the user did not want to wait for the end.
    async fn follow(mut self, submission: Submission, interrupts: &mut Interrupts) -> Result<Option<Exit>, Failure> {
        let engine = &self.service.engine;
        let plan = Arc::clone(&submission.plan);
        let mut progress = Progress::new(self.terminal, self.quiet, &plan, submission.inputs.len());
        let run = engine.submit(submission).await.map_err(refused)?;
        let mut news = engine.subscribe(run, 0);
        let mut frames = tokio::time::interval(FRAME);
        let mut interrupted = false;
        loop {
            tokio::select! {
                notice = news.next() => match notice.map_err(|error| Failure::outside(error.to_string()))? {
                    Some(notice) => self.observe(&mut progress, &notice).await?,
                    None => break,
                },
                _ = frames.tick() => progress.tick(),
                () = interrupts.next() => {
                    if std::mem::replace(&mut interrupted, true) {
                        progress.finish();
                        return Ok(None);
                    }
                    // It may have ended in this very moment; then its result is as good as any.
                    let _ = engine.cancel(run, "user", Some("interrupted")).await;
                }
            }
        }
        progress.finish();
        self.conclude(run, &plan, interrupted).map(Some)
    }

    async fn observe(&mut self, progress: &mut Progress, notice: &Notice) -> Result<(), Failure> {
        progress.observe(notice);
        let Notice::Record(record) = notice else { return Ok(()) };
        if matches!(record.event, Event::CancelAsked(_)) {
            let stood = progress.standing();
            self.terminal.aside(|| line(format_args!("{}: {stood}", Paint::Error.on("interrupted"))));
        }
        match self.results.line(&self.service.store, &record.event).await? {
            Some(text) => self.terminal.aside(|| self.results.write(&text)),
            None => Ok(()),
        }
    }

    /// Prints what is left to print, and says what went wrong.
    fn conclude(self, run: RunId, plan: &Plan, interrupted: bool) -> Result<Exit, Failure> {
        let status = self.service.store.run(run).map(|row| row.status);
        match status {
            Some(ExecutionStatus::Completed | ExecutionStatus::Failed) => {}
            Some(ExecutionStatus::Cancelled) if interrupted => return Ok(Exit::Interrupted),
            other => return Err(Failure::outside(format!("the run did not come to an end: it is {other:?}"))),
        }
        let items = self.service.store.items(run);
        self.results.finish(&items)?;
        if status == Some(ExecutionStatus::Completed) {
            return Ok(Exit::Success);
        }
        failure::report(plan, &items);
        Ok(Exit::Failed)
    }
}

/// Why the engine would not begin. Inputs were checked before, so what does not fit is a variable.
fn refused(error: Error) -> Failure {
    let Error::InvalidInput(misfits) = error else {
        return Failure::outside(format!("cannot begin the run: {error}"));
    };
    let misfits: Vec<String> = misfits.iter().map(|found| found.misfit.to_string()).collect();
    Failure::document(format!("the flow's variables do not fit: {}", misfits.join("; ")))
        .hint("`run` cannot set variables yet: give them a `default` in `schemas.properties.variables`")
}
