//! What the config says of a worker that the server starts itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A stdio worker: its process, its limits, what is done when it dies.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The plugin's name in the config.
    pub name: String,
    /// The program. Without a slash it is looked for in `PATH`, then beside the server's own binary; a relative path
    /// with a slash starts at `cwd`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables that it gets on top of the inherited ones.
    pub env: BTreeMap<String, String>,
    /// `None`: it inherits every variable but the server's own. `Some`: it inherits these only.
    pub inherit_env: Option<Vec<String>>,
    /// More variables that it does not inherit: those in which the config keeps the server's secrets.
    pub withheld_env: Vec<String>,
    /// Where it runs. Absolute.
    pub cwd: PathBuf,
    /// How long it may take until it has answered the handshake.
    pub start_timeout: Duration,
    /// How many processes are started.
    pub instances: usize,
    /// Caps what each process announces; stands for it when it announces nothing.
    pub max_concurrency: Option<usize>,
    /// How long a cancelled attempt may take to end before its process is replaced.
    pub cancel_grace: Duration,
    /// Whether outputs have to fit the schemas that its components declare for them.
    pub validate_outputs: bool,
    /// How long it may take to end by itself when it is shut down, before it is asked with SIGTERM, and again as long
    /// before it is killed.
    pub shutdown_grace: Duration,
    /// What is done when it dies.
    pub restart: RestartPolicy,
}

impl WorkerOptions {
    /// A worker with the defaults of the config: inherits the environment, 5 min to start.
    #[must_use]
    pub fn new(name: impl Into<String>, command: impl Into<String>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            inherit_env: None,
            withheld_env: Vec::new(),
            cwd: cwd.into(),
            start_timeout: Duration::from_secs(300),
            instances: 1,
            max_concurrency: None,
            cancel_grace: Duration::from_secs(4),
            validate_outputs: false,
            shutdown_grace: Duration::from_secs(2),
            restart: RestartPolicy::default(),
        }
    }
}

/// When a worker that died is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The wait after the first crash; it doubles with every further one.
    pub first_delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
    /// After so many crashes without one answer in between, steps are refused.
    pub crashes: u32,
    /// How long it is left alone then.
    pub pause: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(10),
            crashes: 5,
            pause: Duration::from_secs(60),
        }
    }
}

impl RestartPolicy {
    /// The wait after this many crashes in a row.
    pub(crate) fn delay(&self, crashes: u32) -> Duration {
        let doublings = crashes.saturating_sub(1).min(16);
        self.first_delay.saturating_mul(1 << doublings).min(self.max_delay)
    }
}
