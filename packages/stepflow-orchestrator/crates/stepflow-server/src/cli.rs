//! The command line: commands, arguments and options. What they do is in `commands`.

mod components;
mod db;
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
pub use db::{BackupArgs, DatabaseArgs, DbCommand, RestoreArgs};
pub use plugins::{ListPluginsArgs, PluginsCommand};
pub use run::{InputArgs, OverrideArgs, RunArgs, VariableArgs};
pub use serve::ServeArgs;
pub use test::TestArgs;
pub use validate::{DiagnosticFormat, ValidateArgs};
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
    /// Run a flow in this process and print its result
    ///
    /// Prints the result to stdout, as one JSON document, and everything else to stderr. The run is kept in memory
    /// only and is gone when the process ends, unless `--state` names a folder for it.
    ///
    /// Exit codes: 0 the flow succeeded; 1 it failed, or the document or its input is wrong; 2 the command line is
    /// wrong; 3 a worker could not be started, the configuration is wrong, or the result cannot be written; 130
    /// interrupted.
    Run(Box<RunArgs>),
    /// Check flows without running them
    ///
    /// Prints every error and warning with its line and column. Starts the workers of the components that the flows
    /// call, to ask them which components they have and which input fields these take. `--fix` first corrects each file
    /// where only one correction is possible. It keeps comments and layout, and prints each change with its line. With
    /// `--config FILE` and no flow it checks only the configuration.
    ///
    /// Exit codes: 0 there are no errors, but there may be warnings; 1 there are errors; 2 the command line is wrong; 3
    /// a worker could not be started, or the configuration is wrong.
    Validate(ValidateArgs),
    /// Show the components that flows can call
    Components {
        /// What to do
        #[command(subcommand)]
        command: ComponentsCommand,
    },
    /// Show the plugins, which provide the components
    Plugins {
        /// What to do
        #[command(subcommand)]
        command: PluginsCommand,
    },
    /// The same as `components list`
    #[command(hide = true)]
    ListComponents(ListComponentsArgs),
    /// Draw a flow as a picture
    ///
    /// Each step is a box, coloured by plugin. An arrow shows which part of a value a step takes from another one. It is
    /// dashed when the value is needed only in some cases, as in a branch of `$if`. When a step runs a flow, that flow
    /// is drawn inside the step.
    Visualize(VisualizeArgs),
    /// Run the test cases of flows and conformance files
    ///
    /// The cases of a flow are in its `test` section. In a folder, all `*.yaml`, `*.yml` and `*.json` files are tested.
    /// The report goes to stdout. The `mocks` of a case replace components, so that their workers are not needed.
    ///
    /// Exit codes: 0 all cases passed; 1 a case failed, or a file is not a valid document; 2 the command line is wrong,
    /// or there are no cases; 3 a worker could not be started, or the configuration is wrong.
    Test(TestArgs),
    /// Serve the HTTP API
    ///
    /// Prints one line to stdout, `{"port":N}`, when it is ready for requests. Runs and flows are kept in a file, by
    /// default `.stepflow/state.db` beside the configuration, and survive the end of the process, `kill -9` and a power
    /// failure; with `durability: relaxed` the last moments before a power failure may be lost. Unfinished runs go on
    /// when the server is started again. With `--memory` nothing survives the end of the process.
    Serve(ServeArgs),
    /// Copy, restore, check or shrink the database of a server
    Db {
        /// What to do
        #[command(subcommand)]
        command: DbCommand,
    },
    /// Print a JSON Schema
    Schema {
        /// Which schema
        what: SchemaKind,
    },
}

/// The schemas that can be printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SchemaKind {
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
    /// Configuration file; `-` is stdin. Without this option it is `stepflow-config.yml` in the folder of the flow, else
    /// in the current folder; the name may also end with `.yaml` or have a `_`
    #[arg(short, long, value_name = "FILE", env = "STEPFLOW_CONFIG")]
    pub config: Option<PathBuf>,
    /// Use no configuration file, and run `stepflow-worker TARGET` for the components under `/python/`. Without this
    /// option and without a configuration, TARGET is the `components.py` in the folder of the flow, if there is one
    #[arg(long, value_name = "TARGET", conflicts_with = "config")]
    pub worker: Option<String>,
}

/// The help of `--config` for commands that take no flow.
const CONFIG_HERE: &str = "Configuration file; `-` is stdin. Without this option it is `stepflow-config.yml` in the \
    current folder; the name may also end with `.yaml` or have a `_`";

/// The help of `--worker` for the commands that list what the flows of the current folder can use.
const WORKER_HERE: &str = "Use no configuration file, and run `stepflow-worker TARGET` for the components under \
    `/python/`. Without this option and without a configuration, TARGET is the `components.py` in the current folder, if \
    there is one";

/// The help of `--worker` for `serve`, which takes no `components.py` by itself.
const WORKER_NAMED: &str =
    "Use no configuration file, and run `stepflow-worker TARGET` for the components under `/python/`";

/// The flow that a command is about, as an argument or as an option.
#[derive(Debug, Clone, Args)]
pub struct FlowArgs {
    /// The flow's file
    #[arg(value_name = "FLOW", required_unless_present = "flow_option", conflicts_with = "flow_option")]
    flow: Option<PathBuf>,
    /// The flow's file, as an option
    #[arg(long = "flow", id = "flow_option", value_name = "FILE")]
    flow_option: Option<PathBuf>,
}

/// How much is logged.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Write log messages of this level and above to stderr
    #[arg(long, value_name = "LEVEL", env = "STEPFLOW_LOG_LEVEL", hide_env_values = true)]
    log_level: Option<LogLevel>,
}

/// The log levels.
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
    /// Columns, to read
    Table,
    /// For programs
    Json,
}

impl FlowArgs {
    /// The flow's file.
    pub fn path(&self) -> PathBuf {
        self.flow.as_ref().or(self.flow_option.as_ref()).cloned().unwrap_or_default()
    }
}

impl Cli {
    /// The command; `serve` when there is none.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }

    /// How much is logged.
    pub fn log_level(&self) -> LevelFilter {
        let (given, default) = match &self.command {
            Some(Command::Run(run)) => (run.log.log_level, LevelFilter::WARN),
            Some(Command::Test(test)) => (test.log.log_level, LevelFilter::ERROR),
            Some(Command::Validate(validate)) => (validate.log.log_level, LevelFilter::WARN),
            Some(Command::Plugins { command: PluginsCommand::List(list) }) => (list.log.log_level, LevelFilter::WARN),
            Some(Command::Components { command: ComponentsCommand::List(list) } | Command::ListComponents(list)) => {
                (list.log.log_level, LevelFilter::WARN)
            }
            Some(Command::Visualize(_) | Command::Db { .. } | Command::Schema { .. }) => (None, LevelFilter::WARN),
            Some(Command::Serve(serve)) => (serve.log.log_level, LevelFilter::INFO),
            None => (self.serve.log.log_level, LevelFilter::INFO),
        };
        match given {
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
            let arguments = ["stepflow", "run"].iter().chain(flow);
            let Command::Run(run) = Cli::parse_from(arguments).into_command() else { panic!("not run") };
            assert_eq!(run.flow.path(), PathBuf::from("flow.yaml"));
        }
        assert!(Cli::try_parse_from(["stepflow", "run", "a.yaml", "--flow", "b.yaml"]).is_err());
        assert!(Cli::try_parse_from(["stepflow", "run"]).is_err());
    }

    #[test]
    fn only_commands_with_a_flow_speak_of_its_folder() {
        for (names, has_flow) in [
            (&["run"][..], true),
            (&["validate"], true),
            (&["serve"], false),
            (&["components", "list"], false),
            (&["plugins", "list"], false),
        ] {
            let mut command = Cli::command();
            let mut found = &mut command;
            for name in names {
                found = found.find_subcommand_mut(name).unwrap_or_else(|| panic!("no command {name}"));
            }
            let help = found.render_long_help().to_string();
            assert_eq!(help.contains("folder of the flow"), has_flow, "{names:?}: {help}");
        }
    }

    #[test]
    fn an_input_has_one_origin() {
        assert!(Cli::try_parse_from(["stepflow", "run", "f", "--input", "a", "--input-json", "1"]).is_err());
    }
}
