//! The options of `plugins`.

use clap::{Args, Subcommand};

use super::{CONFIG_HERE, ComponentArgs, ListFormat, LogArgs, WORKER_HERE};

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// List the plugins and their workers: their state, how many tasks they take, and the last output of those that fail
    ///
    /// Starts the workers, as `serve` does, and stops them again.
    ///
    /// Exit codes: 0 all plugins are ready; 2 the command line is wrong; 3 a worker could not be started (it is
    /// listed with the reason), or the configuration is wrong.
    List(ListPluginsArgs),
}

/// `plugins list`
#[derive(Debug, Args)]
#[command(mut_arg("config", |arg| arg.help(CONFIG_HERE)), mut_arg("worker", |arg| arg.help(WORKER_HERE)))]
pub struct ListPluginsArgs {
    #[command(flatten)]
    pub components: ComponentArgs,
    /// How the list is printed
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
    #[command(flatten)]
    pub(super) log: LogArgs,
}
