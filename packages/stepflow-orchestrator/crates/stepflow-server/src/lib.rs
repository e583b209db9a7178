//! The server binary: command line, configuration, HTTP API. Everything below it takes typed options; only here are
//! files, the environment and the terminal read.

pub mod access;
pub mod api;
pub mod catalog;
mod cli;
mod commands;
pub mod config;
mod document;
mod exit;
mod interrupt;
mod json_pointer;
mod picture;
pub mod plugins;
mod progress;
pub mod service;
mod stderr;
mod telemetry;
mod visible;
mod wording;
mod worker_runs;
mod written;
mod xml;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::Parser;

/// The program that this process runs, which is started again to render templates and to watch workers.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    // Before anything else: a renderer limits itself to the memory that it needs for templates.
    if words == [stepflow_hosts::RENDER_TEMPLATES] {
        return stepflow_hosts::render_templates();
    }
    if words == [stepflow_hosts::WATCH_WORKERS] {
        return stepflow_hosts::watch_workers();
    }
    // Without its path this process renders no templates and watches no workers, and says so then.
    let program = std::env::current_exe().unwrap_or_default();
    run(std::iter::once(program.into_os_string()).chain(words))
}

/// Does what a command line says; its first word is the path of the program.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<_> = words.into_iter().collect();
    if let Some(program) = words.first() {
        PROGRAM.get_or_init(|| program.into());
    }
    let cli = match cli::Cli::try_parse_from(words) {
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
    // A thread that reads a terminal or a pipe cannot be told to stop; it is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}
