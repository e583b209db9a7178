//! `plugins`

use clap::{Args, Subcommand};

use super::{ComponentArgs, ListFormat, LogArgs};

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// List the plugins with their workers: whether each takes tasks, how many, and what the failing ones last said
    ///
    /// Starts the workers, as `serve` does, and ends them again.
    ///
    /// Exit codes: 0 all plugins take tasks; 2 the command line is wrong; 3 a worker could not be started (it is
    /// listed with the reason), or the configuration is wrong.
    List(ListPluginsArgs),
}

/// `plugins list`
#[derive(Debug, Args)]
pub struct ListPluginsArgs {
    #[command(flatten)]
    pub components: ComponentArgs,
    /// A table for people, or JSON
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
    #[command(flatten)]
    pub(super) log: LogArgs,
}
