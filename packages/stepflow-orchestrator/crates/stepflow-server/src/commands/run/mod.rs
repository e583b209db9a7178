//! `run`: runs one flow in this process; in memory, unless a folder is named for it.

mod assign;
mod checks;
mod failure;
mod follow;
mod input;
mod overrides;
mod result;
mod same;
mod state;
mod variables;

use std::sync::Arc;

use stepflow_engine::{Error, Submission};
use stepflow_protocol::ExecutionStatus;

use super::workers::{self, Started};
use crate::cli::RunArgs;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::progress::Terminal;
use crate::service::Needs;
use crate::stderr::{Paint, line};
use crate::store::Store;

use follow::Follower;
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
    let (state, store) = match args.state.as_deref().map(|folder| State::open(folder, args.resume)).transpose()? {
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
    let earlier = match &state {
        Some(state) if args.resume => Some(state.to_resume(&store, &submission).await?),
        Some(state) if !args.new => {
            state.refuse_unfinished(&store, &submission).await?;
            None
        }
        _ => None,
    };
    if let Some(earlier) = earlier.as_ref().filter(|earlier| earlier.status != ExecutionStatus::Running) {
        if !args.quiet {
            line("the run has ended: these are its results");
        }
        let results = Results::open(&args)?;
        let exit = follow::conclude(&store, state.as_ref(), results, earlier.run, &plan, false).await;
        store.close().await;
        return exit;
    }
    let service = workers::service(&config, store)?;
    let grace = config.server.stop_grace();
    let is_kept = state.is_some();
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
        let resumed = earlier.is_some();
        let run = match earlier {
            Some(earlier) => earlier.run,
            None => service.engine.submit(submission).await.map_err(refused)?,
        };
        let follower = Follower { service: &service, terminal: &terminal, quiet: args.quiet, results, state, grace };
        match follower.follow(run, resumed, &plan, items, &mut interrupts).await {
            Err(failure) if is_kept => Err(follow::after_failure(failure, &service, grace, &mut interrupts).await),
            followed => followed,
        }
    };
    let ended = ended.await;
    if matches!(ended, Ok(None)) {
        return Ok(Exit::Interrupted);
    }
    workers::stop(&service, args.quiet, &terminal, &mut interrupts).await;
    ended.map(|exit| exit.unwrap_or(Exit::Interrupted))
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
