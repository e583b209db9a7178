//! The options of `run`.

use std::path::PathBuf;

use clap::Args;

use super::{ComponentArgs, FlowArgs, LogArgs};

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub flow: FlowArgs,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub components: ComponentArgs,
    /// Run at most this many steps at the same time [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = at_least_one)]
    pub max_concurrency: Option<u32>,
    /// Write the result to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print only the flow's output, without `{"outcome": …}` around it; print nothing when the flow fails
    #[arg(long, conflicts_with = "inputs")]
    pub output_only: bool,
    /// Keep the run in this folder, so that nothing of it is lost when the process or the machine dies: `--resume` goes on
    /// with it. After Ctrl-C running steps have time to end, as long as `server.stopGrace` says; a second Ctrl-C ends at
    /// once. Exit 2 when the folder has an unfinished run of this flow, input, variables and overrides. Without this
    /// option a run is in memory only
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Go on with the newest run of this flow, input, variables and overrides in `--state` that was not finished; steps
    /// that have finished are not run again. When all have finished, nothing is run. The results of all items are printed.
    /// Exit 2 when there is no such run
    #[arg(long, requires = "state")]
    pub resume: bool,
    /// Start another run, although the folder of `--state` has an unfinished one of the same flow and input
    #[arg(long, requires = "state", conflicts_with = "resume")]
    pub new: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Run the flow even if its document has errors, unless they are fatal
    #[arg(long)]
    pub no_check: bool,
    #[command(flatten)]
    pub(super) log: LogArgs,
    // These two come last, because `--help` puts everything after them under their headings.
    #[command(flatten)]
    pub variables: VariableArgs,
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Where the input of a run comes from; it is `null` without any of these options.
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
    /// File with one JSON value in each line (`-` is stdin); the flow runs once for each value. Each result is printed
    /// on its own line, with its `itemIndex`, as soon as it is ready
    #[arg(long, value_name = "FILE", group = "input_document")]
    pub inputs: Option<PathBuf>,
    /// Set one place in the input, such as `a.b=1` or `rows[0].name="x"`; may be repeated. This is done after the other
    /// input options
    #[arg(long, value_name = "PATH=JSON", conflicts_with = "inputs", allow_hyphen_values = true)]
    pub set: Vec<String>,
}

/// Where the variables of a run come from: a document, then single variables, and the environment for all others.
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
    /// Set one variable; may be repeated. VALUE is a plain text if the flow declares the variable as a string. Otherwise
    /// it is read as JSON; if it is not JSON, or the flow does not accept that JSON, it is a plain text
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub var: Vec<String>,
    /// Take all other variables that the flow declares from the environment: from the name in `env_var`, else from
    /// `STEPFLOW_VAR_<NAME>`
    #[arg(long)]
    pub env_variables: bool,
    /// Like `--env-variables`; names that are not in the environment are taken from this file of `NAME=VALUE` lines
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

impl VariableArgs {
    /// Whether a document was given, even an empty one.
    pub fn has_document(&self) -> bool {
        self.variables.is_some() || self.variables_json.is_some() || self.variables_yaml.is_some()
    }
}

/// The changes that a run makes to the steps of its flow.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Overrides")]
pub struct OverrideArgs {
    /// JSON or YAML file with changes to steps, `{steps: {<id>: {$type: merge_patch, value: …}}}`; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub overrides: Option<PathBuf>,
    /// The overrides, as JSON
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub overrides_json: Option<String>,
    /// The overrides, as YAML
    #[arg(long, value_name = "YAML", allow_hyphen_values = true)]
    pub overrides_yaml: Option<String>,
}

fn at_least_one(text: &str) -> Result<u32, &'static str> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or("it is a whole number of at least 1")
}
