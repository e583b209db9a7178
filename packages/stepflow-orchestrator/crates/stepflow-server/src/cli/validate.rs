//! `validate`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ComponentArgs, LogArgs};

/// `validate`
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The flows' files
    #[arg(value_name = "FLOW", required_unless_present = "flow_option")]
    flows: Vec<PathBuf>,
    /// A flow's file, named; may be repeated
    #[arg(long = "flow", id = "flow_option", value_name = "FILE")]
    flow_option: Vec<PathBuf>,
    #[command(flatten)]
    pub components: ComponentArgs,
    /// Start no workers: whether there is a component, and what it takes, is not looked at
    #[arg(long)]
    pub no_components: bool,
    /// Rewrite names in the files that have one right answer: misspelt keys, old spellings
    #[arg(long)]
    pub fix: bool,
    /// `text` with excerpts on stderr, or `json` on stdout
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

impl ValidateArgs {
    /// The flows' files.
    pub fn flows(&self) -> impl Iterator<Item = &PathBuf> {
        self.flows.iter().chain(&self.flow_option)
    }
}

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}
