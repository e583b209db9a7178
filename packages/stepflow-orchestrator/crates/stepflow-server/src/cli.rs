//! The command line: what can be typed. What it does is in `commands`.

mod components;
mod plugins;
mod run;
mod serve;
mod test;
mod validate;
mod visualize;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

pub use components::{ComponentsCommand, ListComponentsArgs};
pub use plugins::{ListPluginsArgs, PluginsCommand};
pub use run::{InputArgs, OverrideArgs, RunArgs, VariableArgs};
pub use serve::ServeArgs;
pub use test::TestArgs;
pub use validate::{Format, ValidateArgs};
pub use visualize::{PictureFormat, VisualizeArgs};

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

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people
    Table,
    /// For machines
    Json,
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
