//! `components`

use clap::{Args, Subcommand};

use super::{ComponentArgs, ListFormat, LogArgs};

/// `components`
#[derive(Debug, Subcommand)]
pub enum ComponentsCommand {
    /// List the components of all plugins, by the paths that flows write
    ///
    /// Exit codes: 0 all plugins are in the list; 2 the command line is wrong; 3 a worker could not be started (the
    /// others are listed), or the configuration is wrong.
    List(ListComponentsArgs),
}

/// `components list`
#[derive(Debug, Args)]
pub struct ListComponentsArgs {
    #[command(flatten)]
    pub components: ComponentArgs,
    /// A table for people, or JSON
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
    /// With the schemas of inputs and outputs
    #[arg(long)]
    pub schemas: bool,
    #[command(flatten)]
    pub(super) log: LogArgs,
}
