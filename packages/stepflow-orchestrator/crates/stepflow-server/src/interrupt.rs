//! Ctrl-C and its relatives. The first one asks for the end, the second one does not ask.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C (SIGINT) and SIGTERM, from the moment this was made.
pub struct Interrupts {
    int: Signal,
    term: Signal,
}

impl Interrupts {
    /// Begins to listen; from now on the signals end nothing by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    /// The next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
