//! Ctrl-C and SIGTERM. At the first signal a command ends its work in order; at the second one it ends at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals SIGINT (Ctrl-C) and SIGTERM that arrive after this was created.
pub struct Interrupts {
    int: Signal,
    term: Signal,
}

impl Interrupts {
    /// Begins to listen. From now on the signals do not end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
