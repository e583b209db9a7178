//! Why a worker did not start, in words that help the person who has just written it.

use std::time::Duration;

use stepflow_flow::visible::quoted;
use stepflow_protocol::{ErrorKind, FlowError, Value};

/// What stands before a worker's last lines, at the end of the first line of a message.
pub const LAST_LINES: &str = "; its last lines on stderr:";

/// Raised when a worker process did not answer the handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// There is no program of this name.
    #[error(
        "plugin {}: there is no command `{command}` ({searched})\n\
         hint: install it, or name the file with its path in the plugin's `command`",
        quoted(.plugin)
    )]
    CommandNotFound {
        /// The plugin's name.
        plugin: String,
        /// The `command` of its config.
        command: String,
        /// Where it was searched.
        searched: String,
    },
    /// The system could not run it.
    #[error("plugin {}: `{command}` cannot be run: {reason}", quoted(.plugin))]
    CannotRun {
        /// The plugin's name.
        plugin: String,
        /// The program's path.
        command: String,
        /// The system's error text.
        reason: String,
    },
    /// The process ended before it had answered.
    #[error(
        "plugin {}: `{command}` ended before it answered ({status}){}\n\
         hint: run the command by hand to see why",
        quoted(.plugin), stderr_lines(.stderr)
    )]
    Died {
        /// The plugin's name.
        plugin: String,
        /// The command line.
        command: String,
        /// Its exit status or signal.
        status: String,
        /// Its last lines on stderr.
        stderr: String,
    },
    /// The process runs, and does not answer.
    #[error(
        "plugin {}: `{command}` did not answer within {} s{}\n\
         hint: is it a stepflow worker on stdio? a slow start is allowed for by the plugin's `startTimeout`",
        quoted(.plugin), .after.as_secs_f64(), stderr_lines(.stderr)
    )]
    Timeout {
        /// The plugin's name.
        plugin: String,
        /// The command line.
        command: String,
        /// How long the server waited.
        after: Duration,
        /// Its last lines on stderr.
        stderr: String,
    },
    /// The process answered with something that is not the protocol.
    #[error(
        "plugin {}: `{command}` does not speak the worker protocol: {problem}{}",
        quoted(.plugin), stderr_lines(.stderr)
    )]
    Protocol {
        /// The plugin's name.
        plugin: String,
        /// The command line.
        command: String,
        /// What it said.
        problem: String,
        /// Its last lines on stderr.
        stderr: String,
    },
    /// The process said that it serves HTTP, and it does not.
    #[error(
        "plugin {}: `{command}` serves HTTP, but is not reached: {problem}{}",
        quoted(.plugin), stderr_lines(.stderr)
    )]
    NotUp {
        /// The plugin's name.
        plugin: String,
        /// The command line.
        command: String,
        /// What went wrong.
        problem: String,
        /// Its last lines on stderr.
        stderr: String,
    },
    /// Nothing answers at the address.
    #[error(
        "plugin {}: the worker at `{url}` is not reached: {problem}\n\
         hint: start it, or correct the plugin's `url`",
        quoted(.plugin)
    )]
    Unreached {
        /// The plugin's name.
        plugin: String,
        /// The address.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// The server at the address is not a worker, or not one that accepts us.
    #[error("plugin {}: what listens at `{url}` cannot be used as a worker: {problem}", quoted(.plugin))]
    NotAWorker {
        /// The plugin's name.
        plugin: String,
        /// The address.
        url: String,
        /// What it answered.
        problem: String,
    },
    /// The host was shut down while the worker started.
    #[error("plugin {} was shut down before it had started", quoted(.plugin))]
    ShutDown {
        /// The plugin's name.
        plugin: String,
    },
}

impl StartError {
    /// The failure of a step that is routed to this worker.
    pub(crate) fn as_flow_error(&self, plugin: &str) -> FlowError {
        FlowError::new(ErrorKind::Unreachable, self.to_string()).with([("plugin", Value::string(plugin))])
    }
}

fn stderr_lines(stderr: &str) -> String {
    if stderr.is_empty() {
        return "; it wrote nothing to stderr".to_owned();
    }
    stderr.lines().fold(LAST_LINES.to_owned(), |text, line| text + "\n  | " + line)
}
