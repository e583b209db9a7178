//! What each command does.

mod components;
mod db;
mod fields;
mod listing;
mod plugins;
mod run;
mod schema;
mod serve;
mod test;
mod validate;
mod visualize;
mod workers;

use crate::cli::{Cli, Command, ComponentsCommand, PluginsCommand};
use crate::exit::{Exit, Failure};
use crate::progress::Terminal;

/// Runs the command of a command line.
///
/// # Errors
/// When it fails; with the exit code and the message.
pub async fn execute(cli: Cli, terminal: Terminal) -> Result<Exit, Failure> {
    match cli.into_command() {
        Command::Run(args) => run::run(*args, terminal).await,
        Command::Validate(args) => validate::validate(args, terminal).await,
        Command::Test(args) => test::test(args).await,
        Command::Serve(args) => serve::serve(args, terminal).await,
        Command::Components { command: ComponentsCommand::List(args) } | Command::ListComponents(args) => {
            components::list(args, terminal).await
        }
        Command::Plugins { command: PluginsCommand::List(args) } => plugins::list(args, terminal).await,
        Command::Visualize(args) => visualize::visualize(&args),
        Command::Db { command } => db::execute(command, terminal).await,
        Command::Schema { what } => schema::print(what),
    }
}
