//! Sends messages to a worker. What the worker sends enters the host by `Caller::receive`, on every transport.

use std::io;

use stepflow_engine::ports::Address;
use tokio::sync::mpsc;

use super::stdio::Outbox;

/// A message on its way to a worker.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The message, as one line of JSON.
    pub(crate) line: Vec<u8>,
    pub(crate) kind: Kind,
}

/// What a transport has to know about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `components/execute`; its answer has this id.
    Execute(i64, Address),
    /// A request of the handshake; its answer has this id.
    Call(i64),
    /// It has no answer.
    Notification,
    /// The answer to a request of the worker, with the execute on whose stream the request came.
    Answer(Option<i64>),
}

/// How messages are sent.
#[derive(Debug)]
pub(crate) enum Wire {
    /// As lines, into the stdin of a process. What the pipe does not take at once waits until it can take more.
    Pipe(Outbox<Kind>),
    /// Each by itself, to a task that sends it.
    Messages(Option<mpsc::UnboundedSender<Outgoing>>),
}

impl Wire {
    /// Sends a message, now or when there is room. `sent` is called for every message that has been sent.
    ///
    /// # Errors
    ///
    /// When nothing takes messages any more.
    pub(crate) fn send(&mut self, message: Outgoing, sent: impl FnMut(Kind)) -> io::Result<()> {
        match self {
            Self::Pipe(outbox) => {
                outbox.push(message.line, message.kind);
                outbox.flush(sent)
            }
            Self::Messages(sender) => {
                let (mut sent, kind) = (sent, message.kind);
                // After the close nothing is sent.
                let Some(sender) = sender else { return Ok(()) };
                sender.send(message).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                sent(kind);
                Ok(())
            }
        }
    }

    /// Sends the messages that wait for room.
    ///
    /// # Errors
    ///
    /// When nothing takes messages any more.
    pub(crate) fn flush(&mut self, sent: impl FnMut(Kind)) -> io::Result<()> {
        match self {
            Self::Pipe(outbox) => outbox.flush(sent),
            Self::Messages(_) => Ok(()),
        }
    }

    /// Whether no message waits for room.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Pipe(outbox) => outbox.is_idle(),
            Self::Messages(_) => true,
        }
    }

    /// Whether a message that may wait can be queued now.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::Pipe(outbox) => outbox.has_room(),
            Self::Messages(_) => true,
        }
    }

    /// Closes the way to the worker and drops what was not sent. A process reads the end of its input.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Pipe(outbox) => outbox.close(),
            Self::Messages(sender) => *sender = None,
        }
    }
}
