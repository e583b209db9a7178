//! Workers that a command needs: started before its work and ended after it, whatever comes in between.

use std::time::Duration;

use stepflow_hosts::StartError;

use crate::config::Config;
use crate::exit::Failure;
use crate::interrupt::Interrupts;
use crate::progress::Terminal;
use crate::service::{Needs, Service};
use crate::wording::{joined, name_list};

/// How long a worker may take to end by itself when a command ends: a person waits for the prompt.
pub const GRACE: Duration = Duration::from_millis(500);

/// How the start of workers went.
pub enum Started {
    /// All of them answer.
    All,
    /// These do not.
    Without(Vec<StartError>),
    /// Somebody did not want to wait.
    Interrupted,
}

/// The parts that a command needs to run steps, without any worker started.
///
/// # Errors
/// When the configuration cannot be used.
pub fn service(config: &Config) -> Result<Service, Failure> {
    Service::new(config, GRACE).map_err(|error| Failure::outside(error.to_string()))
}

/// Starts the workers that are needed, and says so when it takes a while.
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
            Err(errors) => Started::Without(errors),
        },
        () = interrupts.next() => Started::Interrupted,
    }
}

/// Ends the workers; a second interrupt does not wait for that.
pub async fn end(service: &Service, quiet: bool, terminal: &Terminal, interrupts: &mut Interrupts) {
    tokio::select! {
        () = terminal.while_waiting(quiet, "waiting for the workers to end", service.shutdown()) => {}
        () = interrupts.next() => {}
    }
}

/// Listens for Ctrl-C, so that no worker is left behind by it.
///
/// # Errors
/// When the system refuses.
pub fn listen() -> Result<Interrupts, Failure> {
    Interrupts::listen().map_err(|error| Failure::outside(format!("cannot listen for Ctrl-C: {error}")))
}

/// What to say of workers that did not start.
pub fn failure(errors: &[StartError]) -> Failure {
    Failure::outside(joined(errors, "\nerror: "))
}
