//! The state of a worker, as others may see it.

/// Whether a worker takes tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is starting, for the first time or after a crash: tasks wait.
    Starting,
    /// It could not be reached, for this reason: tasks wait, but not for long.
    Awaited(String),
    /// It takes tasks.
    Ready,
    /// It does not start or has crashed too often: tasks fail at once with this message.
    Down(String),
    /// The host was shut down.
    ShutDown,
}

/// The state of an instance of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It has not answered the handshake yet.
    Starting,
    /// It takes tasks.
    Ready,
    /// The stream of its session was lost and is requested again: its executes go on, and it gets no tasks.
    Reconnecting,
    /// It finishes its executes; its successor is there or is starting.
    Leaving,
    /// Its connection is broken.
    Lost,
}

/// One worker of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Its name, as in the journal.
    pub name: String,
    /// `pid 4711`, or its URL.
    pub address: String,
    /// How far it is.
    pub state: InstanceState,
    /// The version of its code, if it announced one.
    pub version: Option<String>,
    /// How many executes it takes at once; 0 before the handshake.
    pub capacity: usize,
    /// How many executes are open.
    pub open: usize,
}
