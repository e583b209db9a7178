//! The server binary: command line, configuration, HTTP API. Only this crate reads files, the environment and the
//! terminal; the crates below it take typed options.

pub mod access;
pub mod api;
pub mod catalog;
mod cli;
mod commands;
pub mod config;
mod document;
mod exit;
mod interrupt;
mod output_file;
mod picture;
pub mod plugins;
mod progress;
pub mod service;
mod stderr;
pub mod store;
mod telemetry;
mod wording;
mod worker_runs;
mod xml;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::Parser;

/// The path of this program. It is started again to render templates and to watch workers.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    // This comes first, because a renderer limits its own memory to what templates need.
    if arguments == [stepflow_hosts::RENDER_TEMPLATES] {
        return stepflow_hosts::render_templates();
    }
    if arguments == [stepflow_hosts::WATCH_WORKERS] {
        return stepflow_hosts::watch_workers();
    }
    // Without this path no renderer and no watcher can be started; that is reported when one is needed.
    let program = std::env::current_exe().unwrap_or_default();
    run(std::iter::once(program.into_os_string()).chain(arguments))
}

/// Runs a command line; its first argument is the path of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    if let Some(program) = arguments.first() {
        PROGRAM.get_or_init(|| program.into());
    }
    let cli = match cli::Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let terminal = progress::Terminal::detect();
    telemetry::start(cli.log_level(), &terminal);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return exit::Failure::outside(format!("cannot start the server's threads: {error}")).report();
        }
    };
    let ended = runtime.block_on(commands::execute(cli, terminal));
    // A thread that is reading a terminal or a pipe cannot be stopped, so it is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}
