//! The command line: what can be typed. What it does is in `commands`.

mod plugins;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

use crate::access;

pub use plugins::{ListPluginsArgs, PluginsCommand};

/// Runs flows: YAML or JSON documents of steps that call components.
///
/// Without a command it serves the HTTP API, as `serve` does.
#[derive(Debug, Parser)]
#[command(
    name = "stepflow",
    bin_name = "stepflow",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    serve: ServeArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a flow in this process, in memory, and print its result
    ///
    /// The result is one JSON document on stdout; everything else goes to stderr. The run is kept in memory only:
    /// when the process ends, nothing of it is left but its output.
    ///
    /// Exit codes: 0 the flow succeeded; 1 it failed, or the document or its input is wrong; 2 the command line is
    /// wrong; 3 a worker could not be started, or the configuration is wrong; 130 interrupted.
    Run(Box<RunArgs>),
    /// Check flows without running them
    ///
    /// Prints every diagnostic with its line and column. Starts the workers of the components that the flows call, to
    /// ask what they serve and which fields they take. With `--fix` each file is mended first, where one answer is right;
    /// comments and layout stay, and each change is told with its line.
    ///
    /// Exit codes: 0 nothing is wrong that is more than a warning; 1 something is; 2 the command line is wrong; 3 a
    /// worker could not be started, or the configuration is wrong.
    Validate(ValidateArgs),
    /// What flows can call
    Components {
        /// What to do
        #[command(subcommand)]
        command: ComponentsCommand,
    },
    /// Where components come from
    Plugins {
        /// What to do
        #[command(subcommand)]
        command: PluginsCommand,
    },
    /// The same as `components list`
    #[command(hide = true)]
    ListComponents(ListComponentsArgs),
    /// Draw a flow
    ///
    /// Steps are boxes, coloured by plugin; an edge says what of a value is taken, and is dashed where it may not be
    /// looked at. The flow of a step that runs one is drawn inside it.
    Visualize(VisualizeArgs),
    /// Run the cases of flows and conformance files
    ///
    /// A flow has its cases in its `test` section. Folders are searched for `*.yaml`, `*.yml` and `*.json`. The report
    /// is on stdout. With `mocks` in its cases a flow is tested without its workers.
    ///
    /// Exit codes: 0 all cases hold; 1 some do not, or a file cannot be read as a document; 2 the command line is wrong,
    /// or there are no cases; 3 a worker could not be started, or the configuration is wrong.
    Test(TestArgs),
    /// Serve the HTTP API
    ///
    /// Prints `{"port":N}` as its only line on stdout once it listens. Runs are kept in memory for now.
    Serve(ServeArgs),
    /// Print a JSON Schema
    Schema {
        /// Of what
        what: SchemaOf,
    },
}

/// What a schema can be printed of.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SchemaOf {
    /// The messages between server and worker
    Protocol,
    /// Flow documents
    Flow,
    /// Configuration files
    Config,
}

/// Where components come from.
#[derive(Debug, Clone, Args)]
pub struct ComponentArgs {
    /// Configuration file; `-` is stdin. By default `stepflow-config.yml` (or `.yaml`, or with `_`) beside the flow,
    /// then in the current folder
    #[arg(short, long, value_name = "FILE", env = "STEPFLOW_CONFIG")]
    pub config: Option<PathBuf>,
    /// Serve `/python/…` with `stepflow-worker TARGET`, without a configuration file. By default a `components.py`
    /// beside the flow is served in this way
    #[arg(long, value_name = "TARGET", conflicts_with = "config")]
    pub worker: Option<String>,
}

/// How much is logged.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Log from this level up, on stderr
    #[arg(long, value_name = "LEVEL", env = "STEPFLOW_LOG_LEVEL", hide_env_values = true)]
    log_level: Option<LogLevel>,
}

/// The levels of logging.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

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
    log: LogArgs,
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
    log: LogArgs,
}

impl ValidateArgs {
    /// The flows' files.
    pub fn flows(&self) -> impl Iterator<Item = &PathBuf> {
        self.flows.iter().chain(&self.flow_option)
    }
}

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
    log: LogArgs,
}

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

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
    log: LogArgs,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people
    Table,
    /// For machines
    Json,
}

/// `visualize`
#[derive(Debug, Args)]
pub struct VisualizeArgs {
    /// The flow's file
    #[arg(value_name = "FLOW", required_unless_present = "flow_option", conflicts_with = "flow_option")]
    flow: Option<PathBuf>,
    /// The flow's file, named
    #[arg(long = "flow", id = "flow_option", value_name = "FILE")]
    flow_option: Option<PathBuf>,
    /// Write the picture to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which kind of picture [default: what the output's name ends with, else svg]
    #[arg(long, value_enum)]
    pub format: Option<PictureFormat>,
}

impl VisualizeArgs {
    /// The flow's file.
    pub fn flow(&self) -> PathBuf {
        self.flow.as_ref().or(self.flow_option.as_ref()).cloned().unwrap_or_default()
    }
}

/// The kinds of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PictureFormat {
    /// An image that needs nothing else
    Svg,
    /// Text that many readers of Markdown draw
    Mermaid,
    /// The language of Graphviz
    Dot,
}

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Port to listen on; 0 lets the system choose [default: the configuration's, else 7840]
    #[arg(short, long, env = "STEPFLOW_PORT", allow_negative_numbers = true)]
    pub port: Option<u16>,
    /// Address to listen on, or a name that leads to it [default: the configuration's, else 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", value_parser = host)]
    pub host: Option<String>,
    /// Listen on an address that others can reach, although there are no access tokens yet: whoever reaches it can
    /// run components
    #[arg(long)]
    pub insecure: bool,
    #[command(flatten)]
    pub components: ComponentArgs,
    #[command(flatten)]
    log: LogArgs,
}

fn host(text: &str) -> Result<String, &'static str> {
    access::host(text).map(str::to_owned).ok_or("it takes a host name without a port, or an IP address")
}

impl Cli {
    /// The command; `serve` when there is none.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }

    /// How much is logged.
    pub fn log_level(&self) -> LevelFilter {
        let (asked, default) = match &self.command {
            Some(Command::Run(run)) => (run.log.log_level, LevelFilter::WARN),
            Some(Command::Test(test)) => (test.log.log_level, LevelFilter::ERROR),
            Some(Command::Validate(validate)) => (validate.log.log_level, LevelFilter::WARN),
            Some(Command::Plugins { command: PluginsCommand::List(list) }) => (list.log.log_level, LevelFilter::WARN),
            Some(Command::Components { command: ComponentsCommand::List(list) } | Command::ListComponents(list)) => {
                (list.log.log_level, LevelFilter::WARN)
            }
            Some(Command::Visualize(_) | Command::Schema { .. }) => (None, LevelFilter::WARN),
            Some(Command::Serve(serve)) => (serve.log.log_level, LevelFilter::INFO),
            None => (self.serve.log.log_level, LevelFilter::INFO),
        };
        match asked {
            None => default,
            Some(LogLevel::Off) => LevelFilter::OFF,
            Some(LogLevel::Error) => LevelFilter::ERROR,
            Some(LogLevel::Warn) => LevelFilter::WARN,
            Some(LogLevel::Info) => LevelFilter::INFO,
            Some(LogLevel::Debug) => LevelFilter::DEBUG,
            Some(LogLevel::Trace) => LevelFilter::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        let cli = Cli::parse_from(["stepflow-server", "--port", "0"]);
        assert!(matches!(cli.into_command(), Command::Serve(ServeArgs { port: Some(0), .. })));
    }

    #[test]
    fn a_flow_is_positional_or_named_but_not_both() {
        for flow in [&["flow.yaml"][..], &["--flow", "flow.yaml"]] {
            let words = ["stepflow", "run"].iter().chain(flow);
            let Command::Run(run) = Cli::parse_from(words).into_command() else { panic!("not run") };
            assert_eq!(run.flow(), PathBuf::from("flow.yaml"));
        }
        assert!(Cli::try_parse_from(["stepflow", "run", "a.yaml", "--flow", "b.yaml"]).is_err());
        assert!(Cli::try_parse_from(["stepflow", "run"]).is_err());
    }

    #[test]
    fn an_input_has_one_origin() {
        assert!(Cli::try_parse_from(["stepflow", "run", "f", "--input", "a", "--input-json", "1"]).is_err());
    }
}
