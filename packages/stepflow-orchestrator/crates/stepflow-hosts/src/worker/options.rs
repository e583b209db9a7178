//! What the config says of workers: processes that the server starts, or addresses at which they listen.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The workers of a plugin: where they are, their limits, and what to do when one is lost.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The plugin's name in the config.
    pub name: String,
    /// The program. Without a slash it is searched in `PATH`, then beside the server's own binary; a relative path with
    /// a slash starts at `cwd`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables that it gets in addition to the inherited ones.
    pub env: BTreeMap<String, String>,
    /// `None`: it inherits every variable but those that begin with `STEPFLOW_`. `Some`: it inherits these only.
    pub inherit_env: Option<Vec<String>>,
    /// More variables that it does not inherit: those from which the config takes the server's secrets.
    pub withheld_env: Vec<String>,
    /// Where it runs. Absolute.
    pub cwd: PathBuf,
    /// The transport of the process.
    pub transport: Transport,
    /// The addresses of workers over HTTP that somebody else has started. If there are any, no process is started.
    pub urls: Vec<String>,
    /// The bearer token that workers over HTTP expect. A process that is started gets it as `STEPFLOW_WORKER_TOKEN`.
    pub token: Option<String>,
    /// How to find out whether a process that serves HTTP is up.
    pub health_check: HealthCheck,
    /// How long it may take to answer the handshake.
    pub start_timeout: Duration,
    /// How long tasks wait for a worker that is not up, counted from when it was up last, or from the first try. For a
    /// process that cannot start, only tasks wait that were open when the server ended before.
    pub patience: Duration,
    /// How many processes are started.
    pub instances: usize,
    /// The upper limit of what each process announces, and the value for one that announces nothing.
    pub max_concurrency: Option<usize>,
    /// The longest message that is sent or taken, in bytes.
    pub max_message: usize,
    /// How long a cancelled attempt may take to end before its process is replaced.
    pub cancel_grace: Duration,
    /// Whether outputs have to fit the schemas that its components declare for them.
    pub validate_outputs: bool,
    /// How long it may take to end by itself at shutdown. Then it gets SIGTERM and as much time again, and then it is
    /// killed.
    pub shutdown_grace: Duration,
    /// The program that ends the workers' child processes when this process is killed; it is started with
    /// [`crate::WATCH_WORKERS`]. `None`: they are not ended then.
    pub watcher: Option<PathBuf>,
    /// What to do when a worker dies.
    pub restart: RestartPolicy,
    /// The values in these options that came from environment variables, each with the name to show in its place: a
    /// value may be secret.
    pub filled_in: Vec<(String, String)>,
}

impl WorkerOptions {
    /// A text about the worker that may be shown: without the values that came from environment variables.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        let hide = |text: String, (value, name): &(String, String)| text.replace(value, &format!("${{{name}}}"));
        self.filled_in.iter().fold(text.to_owned(), hide)
    }

    /// A worker with the defaults of the config: inherits the environment, 5 min to start.
    #[must_use]
    pub fn new(name: impl Into<String>, command: impl Into<String>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            filled_in: Vec::new(),
            inherit_env: None,
            withheld_env: Vec::new(),
            cwd: cwd.into(),
            transport: Transport::default(),
            urls: Vec::new(),
            token: None,
            health_check: HealthCheck::default(),
            start_timeout: Duration::from_secs(300),
            patience: Duration::ZERO,
            instances: 1,
            max_concurrency: None,
            max_message: 256 << 20,
            cancel_grace: Duration::from_secs(4),
            validate_outputs: false,
            shutdown_grace: Duration::from_secs(2),
            watcher: None,
            restart: RestartPolicy::default(),
        }
    }

    /// Workers that somebody else has started, with the defaults of the config.
    #[must_use]
    pub fn at(name: impl Into<String>, urls: impl IntoIterator<Item = String>) -> Self {
        Self { urls: urls.into_iter().collect(), ..Self::new(name, "", "") }
    }

    /// How many workers the plugin has.
    pub(crate) fn slots(&self) -> usize {
        if self.urls.is_empty() { self.instances.max(1) } else { self.urls.len() }
    }
}

/// The transport of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// On its pipes, unless the first line of its stdout names a port: then it serves HTTP there.
    #[default]
    Announced,
    /// On its pipes; its first line does not matter.
    Stdio,
    /// Over HTTP, on the port that a line of its stdout names.
    Http,
}

/// How a worker over HTTP is asked whether it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path that answers with a success when the worker is up.
    pub path: String,
    /// How long that may take after the port is known.
    pub timeout: Duration,
    /// The wait between two requests.
    pub retry_delay: Duration,
}

impl Default for HealthCheck {
    fn default() -> Self {
        let (timeout, retry_delay) = (Duration::from_secs(60), Duration::from_millis(100));
        Self { path: "/health".to_owned(), timeout, retry_delay }
    }
}

/// When a worker that died is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The wait after the first crash; it doubles with every further one.
    pub first_delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
    /// After this many crashes without one answer in between, steps are refused.
    pub crashes: u32,
    /// How long the worker is not started after that.
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
