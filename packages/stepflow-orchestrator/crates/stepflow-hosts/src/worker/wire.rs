//! The way out to a worker. What comes back enters the host by `Caller::receive`, whatever the transport.

use std::io;

use stepflow_engine::event::TaskRef;
use tokio::sync::mpsc;

use super::stdio::Outbox;

/// A message on its way to a worker.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The message, as JSON on a line of its own.
    pub(crate) line: Vec<u8>,
    pub(crate) kind: Kind,
}

/// What a message is, as far as a transport has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `components/execute`; its answer has this id.
    Execute(i64, TaskRef),
    /// A request of the handshake; its answer has this id.
    Call(i64),
    /// Nobody answers it.
    Notification,
    /// The answer to a request of the worker, with the request on whose stream that came.
    Answer(Option<i64>),
}

/// How messages leave.
#[derive(Debug)]
pub(crate) enum Wire {
    /// As lines, into the stdin of a process. What the pipe does not take at once waits for it to be writable.
    Pipe(Outbox<Kind>),
    /// Each by itself, to a task that sends it.
    Messages(Option<mpsc::UnboundedSender<Outgoing>>),
}

impl Wire {
    /// Sends a message, now or when there is room. `sent` hears of every one that has left.
    ///
    /// # Errors
    /// When nobody takes messages any more.
    pub(crate) fn send(&mut self, message: Outgoing, sent: impl FnMut(Kind)) -> io::Result<()> {
        match self {
            Self::Pipe(outbox) => {
                outbox.push(message.line, message.kind);
                outbox.flush(sent)
            }
            Self::Messages(sender) => {
                let (mut sent, kind) = (sent, message.kind);
                // After the close nobody expects anything.
                let Some(sender) = sender else { return Ok(()) };
                sender.send(message).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                sent(kind);
                Ok(())
            }
        }
    }

    /// Sends what waits for room.
    ///
    /// # Errors
    /// When nobody takes messages any more.
    pub(crate) fn flush(&mut self, sent: impl FnMut(Kind)) -> io::Result<()> {
        match self {
            Self::Pipe(outbox) => outbox.flush(sent),
            Self::Messages(_) => Ok(()),
        }
    }

    /// Whether nothing waits for room.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Pipe(outbox) => outbox.is_idle(),
            Self::Messages(_) => true,
        }
    }

    /// Whether those who can wait need not.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::Pipe(outbox) => outbox.has_room(),
            Self::Messages(_) => true,
        }
    }

    /// Says no more; what has not left is dropped. A process reads the end of its input.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Pipe(outbox) => outbox.close(),
            Self::Messages(sender) => *sender = None,
        }
    }
}
