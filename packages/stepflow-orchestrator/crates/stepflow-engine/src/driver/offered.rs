//! An attempt that was given to a host.

use stepflow_protocol::RunId;

use super::timers::TimerKey;
use crate::event::Route;
use crate::notice::Notice;

/// An attempt that a host has.
#[derive(Default)]
pub(super) struct Offered {
    pub root: Option<RunId>,
    /// Its host; `None` for one that was cancelled before it was offered.
    pub route: Option<Route>,
    pub timeout: Option<TimerKey>,
    pub mark: Option<TimerKey>,
    /// Whether the server crashed while the attempt before was open.
    pub recovers: bool,
    /// The worker that has it. New subscribers are told this, because it is not in the journal.
    pub started: Option<Notice>,
    /// Whether the host was told that its answer is not needed any more.
    pub cancelled: bool,
}

impl Offered {
    /// Whether a worker of another process has it.
    pub fn has_worker(&self) -> bool {
        matches!(&self.started, Some(Notice::Started { instance: Some(_), .. }))
    }
}
