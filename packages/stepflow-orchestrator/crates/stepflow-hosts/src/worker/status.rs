//! What can be seen of a worker from outside.

/// Whether a worker takes tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is starting, for the first time or after a crash: tasks wait.
    Starting,
    /// It takes tasks.
    Ready,
    /// It does not start or crashed too often: tasks fail at once, with this message.
    Down(String),
    /// The host was shut down.
    ShutDown,
}

/// How far an instance of a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It has not answered the handshake yet.
    Starting,
    /// It takes tasks.
    Ready,
    /// The stream of its session was lost and is asked for again: what it has goes on, and it gets no tasks.
    Reconnecting,
    /// It finishes what it has; its successor is there or starting.
    Leaving,
    /// Its connection is broken.
    Lost,
}

/// One worker of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Its name, as the journal has it.
    pub name: String,
    /// `pid 4711`, or its URL.
    pub address: String,
    /// How far it is.
    pub state: InstanceState,
    /// The version of its code, where it says one.
    pub version: Option<String>,
    /// How many executes it takes at once; 0 before the handshake.
    pub capacity: usize,
    /// How many it has.
    pub open: usize,
}
