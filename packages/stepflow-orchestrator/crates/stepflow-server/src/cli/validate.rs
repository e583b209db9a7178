//! The options of `validate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ComponentArgs, LogArgs};

/// `validate`
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The flows' files; may be left out with `--config`, to check only the configuration
    #[arg(value_name = "FLOW", required_unless_present_any = ["flow_option", "config"])]
    flows: Vec<PathBuf>,
    /// A flow's file, as an option; may be repeated
    #[arg(long = "flow", id = "flow_option", value_name = "FILE")]
    flow_option: Vec<PathBuf>,
    #[command(flatten)]
    pub components: ComponentArgs,
    /// Start no workers. It is then not checked which components they have and which input fields these take
    #[arg(long)]
    pub no_components: bool,
    /// Correct misspelt keys and old spellings in the files, where only one correction is possible
    #[arg(long)]
    pub fix: bool,
    /// How errors and warnings are printed
    #[arg(long, value_enum, default_value = "text")]
    pub format: DiagnosticFormat,
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
pub enum DiagnosticFormat {
    /// On stderr, with excerpts of the file
    Text,
    /// On stdout, for programs
    Json,
}
