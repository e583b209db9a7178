//! `test`

use std::path::PathBuf;

use clap::Args;

use super::{ComponentArgs, LogArgs};

/// `test`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files, and folders with files
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub components: ComponentArgs,
    /// Only the cases with this name; may be repeated
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub case: Vec<String>,
    /// Write the outputs that flows give into their cases, where they are not what was expected
    #[arg(long)]
    pub update: bool,
    /// Write a report in JUnit's XML as well
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub(super) log: LogArgs,
}
