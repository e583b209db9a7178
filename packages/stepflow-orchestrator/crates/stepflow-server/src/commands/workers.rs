//! The workers that a command needs. They are started before its work and stopped after it, also when the work fails.

use std::time::Duration;

use stepflow_hosts::StartError;

use crate::config::Config;
use crate::exit::Failure;
use crate::interrupt::Interrupts;
use crate::progress::Terminal;
use crate::service::{Needs, Service};
use crate::store::Store;
use crate::wording::{joined, name_list};

/// How long a worker may take to stop by itself when a command ends: a person waits for the prompt.
pub const GRACE: Duration = Duration::from_millis(500);

/// The result of starting workers.
pub enum Started {
    /// All of them are ready.
    All,
    /// These could not be started.
    Failed(Vec<StartError>),
    /// The user interrupted the start.
    Interrupted,
}

/// The parts that a command needs to run steps, without any worker started.
///
/// # Errors
/// When the configuration cannot be used.
pub fn service(config: &Config, store: Store) -> Result<Service, Failure> {
    Service::new(config, store, GRACE).map_err(|error| Failure::outside(error.to_string()))
}

/// Starts the workers that are needed, and tells the user when it takes long.
pub async fn start(
    service: &Service,
    needs: Needs<'_>,
    quiet: bool,
    terminal: &Terminal,
    interrupts: &mut Interrupts,
) -> Started {
    let names = service.names(needs);
    if names.is_empty() {
        return Started::All;
    }
    let what = format!("starting the worker of {}", name_list(names));
    tokio::select! {
        started = terminal.while_waiting(quiet, &what, service.start(needs)) => match started {
            Ok(()) => Started::All,
            Err(errors) => Started::Failed(errors),
        },
        () = interrupts.next() => Started::Interrupted,
    }
}

/// Stops the workers. An interrupt ends the wait for them.
pub async fn stop(service: &Service, quiet: bool, terminal: &Terminal, interrupts: &mut Interrupts) {
    tokio::select! {
        () = terminal.while_waiting(quiet, "waiting for the workers to end", service.shutdown()) => {}
        () = interrupts.next() => {}
    }
}

/// Listens for Ctrl-C, so that the workers are stopped then, too.
///
/// # Errors
/// When the system refuses.
pub fn listen() -> Result<Interrupts, Failure> {
    Interrupts::listen().map_err(|error| Failure::outside(format!("cannot listen for Ctrl-C: {error}")))
}

/// The error for workers that could not be started.
pub fn failure(errors: &[StartError]) -> Failure {
    Failure::outside(joined(errors, "\nerror: "))
}
