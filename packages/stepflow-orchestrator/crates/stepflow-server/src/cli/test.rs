//! The options of `test`.

use std::path::PathBuf;

use clap::Args;

use super::{ComponentArgs, LogArgs};

/// `test`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files or folders with test cases
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub components: ComponentArgs,
    /// Run only the cases with this name; may be repeated
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub case: Vec<String>,
    /// Where the output of a flow is not the expected one, write it into the case as the expected output
    #[arg(long)]
    pub update: bool,
    /// Also write a report in the XML format of JUnit
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub(super) log: LogArgs,
}
