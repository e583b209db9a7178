//! Workers that a command needs: started before its work and ended after it, whatever comes in between.

use stepflow_hosts::StartError;

use crate::exit::Failure;
use crate::interrupt::Interrupts;
use crate::progress::Terminal;
use crate::service::{Needs, Service};

/// How the start of workers went.
pub enum Started {
    /// All of them answer.
    All,
    /// These do not.
    Without(Vec<StartError>),
    /// Somebody did not want to wait.
    Interrupted,
}

/// Starts the workers that are needed, and says so when it takes a while.
pub async fn start(
    service: &Service,
    needs: Needs<'_>,
    quiet: bool,
    terminal: &Terminal,
    interrupts: &mut Interrupts,
) -> Started {
    let names: Vec<String> = service.names(needs).iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return Started::All;
    }
    let what = format!("starting the worker of {}", names.join(", "));
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
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::outside(errors.join("\nerror: "))
}
