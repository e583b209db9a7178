//! `db`: copies, restores, checks and shrinks the database of a server.

use std::path::PathBuf;

use stepflow_store::sqlite::{self, Error, Options, Swept};

use crate::cli::{BackupArgs, ComponentArgs, DatabaseArgs, DbCommand, RestoreArgs};
use crate::config::{self, StateStore};
use crate::document;
use crate::exit::{Exit, Failure};
use crate::progress::Terminal;
use crate::stderr::line;
use crate::wording::retention;

/// Does what the command says.
///
/// # Errors
/// When the database cannot be used.
pub async fn execute(command: DbCommand, terminal: Terminal) -> Result<Exit, Failure> {
    match command {
        DbCommand::Backup(args) => backup(args, terminal).await,
        DbCommand::Restore(args) => restore(args, terminal).await,
        DbCommand::Check(args) => check(args, terminal).await,
        DbCommand::Vacuum(args) => vacuum(args, terminal).await,
    }
}

async fn backup(args: BackupArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let options = options(args.database)?;
    let what = format!("copying `{}`", options.path.display());
    let to = args.to.clone();
    let copied = work(&terminal, &what, move || sqlite::backup(&options, &to)).await?;
    failed(copied)?;
    line(format_args!("the copy is `{}`", args.to.display()));
    Ok(Exit::Success)
}

async fn restore(args: RestoreArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let options = options(args.database)?;
    let (path, from) = (options.path.display().to_string(), args.from.clone());
    let restored = work(&terminal, &format!("restoring `{path}`"), move || sqlite::restore(&options, &from)).await?;
    let moved = failed(restored)?;
    line(format_args!("`{path}` is the backup `{}` now", args.from.display()));
    for file in &moved {
        line(format_args!("what was there before is `{}`", file.display()));
    }
    Ok(Exit::Success)
}

async fn check(args: DatabaseArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let options = options(args)?;
    let path = options.path.display().to_string();
    let findings = failed(work(&terminal, &format!("checking `{path}`"), move || sqlite::check(&options)).await?)?;
    for finding in &findings {
        document::print(&format!("{}: {}", finding.place, finding.problem))?;
    }
    match findings.len() {
        0 => line(format_args!("`{path}` is sound")),
        faults => line(format_args!(
            "`{path}` has {faults} faults: restore a backup with `stepflow db restore FILE`, or ask for help"
        )),
    }
    Ok(if findings.is_empty() { Exit::Success } else { Exit::Failed })
}

async fn vacuum(args: DatabaseArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let options = options(args)?;
    let path = options.path.display().to_string();
    let rule = retention(&options.retention);
    let vacuumed = failed(work(&terminal, &format!("shrinking `{path}`"), move || sqlite::vacuum(&options)).await?)?;
    let swept = vacuumed.swept;
    match rule.filter(|_| swept.runs > 0) {
        Some(rule) => line(format_args!("deleted {swept}; `retention`: {rule}")),
        None if swept != Swept::default() => line(format_args!("deleted {swept}")),
        None => {}
    }
    line(format_args!("`{path}` had {} bytes and has {}", vacuumed.before, vacuumed.after));
    Ok(Exit::Success)
}

/// The database that the command line or the configuration names.
fn options(args: DatabaseArgs) -> Result<Options, Failure> {
    let options = match args.path {
        Some(path) => Options::new(path),
        None => configured(args.config)?,
    };
    Ok(Options { blobs: args.blobs.or(options.blobs), ..options })
}

fn configured(file: Option<PathBuf>) -> Result<Options, Failure> {
    let config = config::find(&ComponentArgs { config: file, worker: None }, None)?;
    match config.state {
        StateStore::Sqlite(options) => Ok(options),
        StateStore::InMemory(_) => {
            let message = format!("{} keeps runs in memory: there is no database", config.origin());
            Err(Failure::outside(message).hint("`--path FILE` names one"))
        }
    }
}

/// Works on a thread where it may block, and tells the user when it takes long.
async fn work<T: Send + 'static>(
    terminal: &Terminal,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = terminal.while_waiting(false, what, tokio::task::spawn_blocking(work)).await;
    done.map_err(|error| Failure::outside(format!("the work on the database ended: {error}")))
}

fn failed<T>(result: Result<T, Error>) -> Result<T, Failure> {
    result.map_err(|error| Failure::outside(error.to_string()))
}
