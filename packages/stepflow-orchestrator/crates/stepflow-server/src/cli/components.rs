//! The options of `components`.

use clap::{Args, Subcommand};

use super::{CONFIG_HERE, ComponentArgs, ListFormat, LogArgs, WORKER_HERE};

/// What can be done with components.
#[derive(Debug, Subcommand)]
pub enum ComponentsCommand {
    /// List the components of all plugins, with the paths that flows use
    ///
    /// Exit codes: 0 the list is complete; 2 the command line is wrong; 3 a worker could not be started (the components
    /// of the others are listed), or the configuration is wrong.
    List(ListComponentsArgs),
}

/// `components list`
#[derive(Debug, Args)]
#[command(mut_arg("config", |arg| arg.help(CONFIG_HERE)), mut_arg("worker", |arg| arg.help(WORKER_HERE)))]
pub struct ListComponentsArgs {
    #[command(flatten)]
    pub components: ComponentArgs,
    /// How the list is printed
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
    /// Include the schemas of inputs and outputs
    #[arg(long)]
    pub schemas: bool,
    #[command(flatten)]
    pub(super) log: LogArgs,
}
