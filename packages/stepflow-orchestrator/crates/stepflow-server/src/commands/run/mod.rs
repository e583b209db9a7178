//! `run`: runs one flow in this process; in memory, unless a folder is named for it.

mod assign;
mod checks;
mod failure;
mod input;
mod overrides;
mod result;
mod state;
mod variables;

use std::sync::Arc;

use stepflow_engine::event::Event;
use stepflow_engine::{Error, Notice, Submission};
use stepflow_flow::Plan;
use stepflow_protocol::{ExecutionStatus, FlowResult, RunId};

use super::workers::{self, Started};
use crate::cli::RunArgs;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::progress::{FRAME, Progress, Terminal};
use crate::service::{Needs, Service};
use crate::stderr::{Paint, line};
use crate::store::Store;

use result::Results;
use state::State;
pub use variables::from_environment;

/// Runs a flow and prints its result.
pub async fn run(args: RunArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let flow = args.flow.path();
    let mut config = config::find(&args.components, Some(&flow))?;
    let document = checks::read(&flow, &args.overrides, &config, args.no_check)?;
    let plan = Arc::clone(&document.plan);
    let inputs = input::read(&args.input, &plan)?;
    let variables = variables::read(&args.variables, &plan)?;
    let overrides = document.overrides.clone();
    config.refuse_what_is_not_built()?;
    if let Some(risks) = config.risks() {
        line(risks.trim_end());
    }
    let mut interrupts = workers::listen()?;
    let (state, store) = match args.state.as_deref().map(State::open).transpose()? {
        Some((state, store)) => (Some(state), store),
        None => (None, Store::default()),
    };
    // Other runs in the folder belong to other calls.
    config.engine.takes_over = false;
    let submission = Submission {
        plan: Arc::clone(&plan),
        inputs,
        variables,
        overrides,
        max_concurrency: args.max_concurrency,
        idempotency_key: None,
    };
    let open = match &state {
        Some(state) if args.resume => Some(state.unfinished(&store, &submission).await?),
        _ => None,
    };
    let service = workers::service(&config, store)?;
    let ended = async {
        match workers::start(&service, Needs::Plan(&plan), args.quiet, &terminal, &mut interrupts).await {
            Started::All => {}
            Started::Failed(errors) => return Err(workers::failure(&errors)),
            Started::Interrupted => {
                line(format_args!("{}: no step had started", Paint::Error.on("interrupted")));
                return Ok(Some(Exit::Interrupted));
            }
        }
        checks::components(document, &service, &config, args.no_check)?;
        let results = Results::open(&args)?;
        let items = submission.inputs.len();
        let run = match open {
            Some(open) => open,
            None => service.engine.submit(submission).await.map_err(refused)?,
        };
        Follower { service: &service, terminal: &terminal, quiet: args.quiet, results, state }
            .follow(run, &plan, items, &mut interrupts)
            .await
    };
    let ended = ended.await;
    if matches!(ended, Ok(None)) {
        return Ok(Exit::Interrupted);
    }
    workers::stop(&service, args.quiet, &terminal, &mut interrupts).await;
    ended.map(|exit| exit.unwrap_or(Exit::Interrupted))
}

/// Follows a run to its end: shows its progress and writes its results.
struct Follower<'a> {
    service: &'a Service,
    terminal: &'a Terminal,
    quiet: bool,
    results: Results,
    state: Option<State>,
}

impl Follower<'_> {
    /// Follows a run from its beginning to its end. `None` when the user interrupted it twice.
    async fn follow(
        mut self,
        run: RunId,
        plan: &Plan,
        items: usize,
        interrupts: &mut Interrupts,
    ) -> Result<Option<Exit>, Failure> {
        let engine = &self.service.engine;
        let mut progress = Progress::new(self.terminal, self.quiet, plan, run, items);
        let mut notices = engine.subscribe(run, 0);
        // A run of an earlier process goes on because somebody waits for it.
        let waiting = engine.ended(run, None);
        tokio::pin!(waiting);
        let mut is_waiting = true;
        let mut frames = tokio::time::interval(FRAME);
        let mut interrupted = false;
        loop {
            let goes_on = tokio::select! {
                notice = notices.next() => match notice.map_err(|error| Failure::outside(error.to_string()))? {
                    // Without a reader nothing is to be done any more. A run that is cancelled already comes to its end.
                    Some(notice) => self.observe(&mut progress, run, &notice).await? || interrupted,
                    None => break,
                },
                () = &mut waiting, if is_waiting => {
                    is_waiting = false;
                    true
                }
                _ = frames.tick() => {
                    progress.tick();
                    true
                }
                () = interrupts.next() => {
                    if interrupted {
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
                progress.finish();
                line(format_args!("{}: {}", Paint::Error.on("interrupted"), progress.standing()));
                line(format_args!("{} the same command with `--resume` goes on", Paint::Hint.on("hint:")));
                self.results.interrupted()?;
                return Ok(Some(Exit::Interrupted));
            }
            interrupted = true;
            // The run may have just ended; then its result is reported as usual.
            let _ = engine.cancel(run, "user", Some("interrupted")).await;
        }
        progress.finish();
        self.conclude(run, plan, interrupted).await.map(Some)
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

    /// Writes the result, and reports what went wrong.
    async fn conclude(mut self, run: RunId, plan: &Plan, interrupted: bool) -> Result<Exit, Failure> {
        let store = &self.service.store;
        let status = store.queries.run(run).await?.map(|row| row.status);
        // Of a batch only the errors are kept: its results have been written item by item.
        let (mut failed, mut total, mut only) = (Vec::new(), 0, None);
        let mut pages = store.items(run);
        while let Some(page) = pages.next().await? {
            total += page.len();
            for row in page {
                if let Some(text) =
                    row.result.as_ref().map(|result| self.results.item(row.item, result)).transpose()?.flatten()
                {
                    self.results.write(&text)?;
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
                self.results.interrupted()?;
                return Ok(Exit::Interrupted);
            }
            other => return Err(Failure::outside(format!("the run did not end: its status is {other:?}"))),
        }
        self.results.finish(only.as_ref())?;
        if let Some(state) = &self.state {
            state.printed(run)?;
        }
        if status == Some(ExecutionStatus::Completed) {
            return Ok(Exit::Success);
        }
        failure::report(plan, total, &failed);
        Ok(Exit::Failed)
    }
}

/// The error when the engine refuses the run. Inputs were checked before, so a misfit is about a variable.
fn refused(error: Error) -> Failure {
    let Error::InvalidInput(misfits) = error else {
        return Failure::outside(format!("cannot start the run: {error}"));
    };
    let named: Vec<String> = misfits.iter().map(|found| found.misfit.to_string()).collect();
    let more = match misfits.total() - named.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Failure::document(format!("the flow's variables do not fit: {}{more}", named.join("; ")))
        .hint("set them with `--var name=value`, `--variables FILE` or `--env-variables`, which takes `STEPFLOW_VAR_<NAME>` or the `env_var` of each")
        .hint("`schemas.properties.variables` of the flow declares them")
}
