//! What each command does.

mod run;
mod schema;
mod serve;
mod validate;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::progress::Terminal;

/// Does what the command line says.
///
/// # Errors
/// When it could not be done; with the exit code and the message for it.
pub async fn execute(cli: Cli, terminal: Terminal) -> Result<Exit, Failure> {
    match cli.into_command() {
        Command::Run(args) => run::run(args, terminal).await,
        Command::Validate(args) => validate::validate(&args),
        Command::Serve(args) => serve::serve(args, terminal).await,
        Command::Schema { what } => schema::print(what),
    }
}
