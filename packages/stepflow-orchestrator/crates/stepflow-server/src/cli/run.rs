//! `run`

use std::path::PathBuf;

use clap::Args;

use super::{ComponentArgs, LogArgs};

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The flow's file
    #[arg(value_name = "FLOW", required_unless_present = "flow_option", conflicts_with = "flow_option")]
    flow: Option<PathBuf>,
    /// The flow's file, named
    #[arg(long = "flow", id = "flow_option", value_name = "FILE")]
    flow_option: Option<PathBuf>,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub variables: VariableArgs,
    #[command(flatten)]
    pub overrides: OverrideArgs,
    #[command(flatten)]
    pub components: ComponentArgs,
    /// At most this many steps at once [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_concurrency: Option<u32>,
    /// Write the result to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print the bare output of the flow instead of `{"outcome": …}`; nothing when the flow failed
    #[arg(long, conflicts_with = "inputs")]
    pub output_only: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Run in spite of errors in the document that are not fatal
    #[arg(long)]
    pub no_check: bool,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

impl RunArgs {
    /// The flow's file.
    pub fn flow(&self) -> PathBuf {
        self.flow.as_ref().or(self.flow_option.as_ref()).cloned().unwrap_or_default()
    }
}

/// Where the input of a run comes from; `null` when nowhere.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// JSON or YAML file with the input; `-` is stdin
    #[arg(long, value_name = "FILE", group = "input_document")]
    pub input: Option<PathBuf>,
    /// The input, as JSON
    #[arg(long, value_name = "JSON", group = "input_document", allow_hyphen_values = true)]
    pub input_json: Option<String>,
    /// The input, as YAML
    #[arg(long, value_name = "YAML", group = "input_document", allow_hyphen_values = true)]
    pub input_yaml: Option<String>,
    /// Run one item for each line of this file of JSON lines (`-` is stdin). Each result is a line of its own, with
    /// its `itemIndex`, as soon as it is there
    #[arg(long, value_name = "FILE", group = "input_document")]
    pub inputs: Option<PathBuf>,
    /// Set one place of the input, such as `a.b=1` or `rows[0].name="x"`; may be repeated, and goes on top of the rest
    #[arg(long, value_name = "PATH=JSON", conflicts_with = "inputs", allow_hyphen_values = true)]
    pub set: Vec<String>,
}

/// Where the variables of a run come from: a document, single ones on top of it, and the environment for the rest.
#[derive(Debug, Args)]
#[command(next_help_heading = "Variables")]
pub struct VariableArgs {
    /// JSON or YAML file with the variables, an object; `-` is stdin
    #[arg(long, value_name = "FILE", group = "variables_document")]
    pub variables: Option<PathBuf>,
    /// The variables, as JSON
    #[arg(long, value_name = "JSON", group = "variables_document", allow_hyphen_values = true)]
    pub variables_json: Option<String>,
    /// The variables, as YAML
    #[arg(long, value_name = "YAML", group = "variables_document", allow_hyphen_values = true)]
    pub variables_yaml: Option<String>,
    /// One variable; may be repeated. Its value is the text where the flow declares a string, else JSON where it can be
    /// and the flow takes that, else the text
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub var: Vec<String>,
    /// Take declared variables that are not given from the environment: from their `env_var`, else from
    /// `STEPFLOW_VAR_<NAME>`
    #[arg(long)]
    pub env_variables: bool,
    /// The same, and look into this file of `NAME=VALUE` lines for what the environment does not have
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

impl VariableArgs {
    /// Whether a document was given, however empty.
    pub fn has_document(&self) -> bool {
        self.variables.is_some() || self.variables_json.is_some() || self.variables_yaml.is_some()
    }
}

/// What a run changes in the steps of its flow.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Overrides")]
pub struct OverrideArgs {
    /// JSON or YAML file with patches to steps, `{steps: {<id>: {$type: merge_patch, value: …}}}`; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub overrides: Option<PathBuf>,
    /// The overrides, as JSON
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub overrides_json: Option<String>,
    /// The overrides, as YAML
    #[arg(long, value_name = "YAML", allow_hyphen_values = true)]
    pub overrides_yaml: Option<String>,
}
