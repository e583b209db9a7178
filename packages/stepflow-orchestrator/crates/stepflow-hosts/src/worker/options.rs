//! What the config says of workers: processes that the server starts, or addresses at which they listen.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The workers of a plugin: where they are, their limits, what is done when one is lost.
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
    /// `None`: it inherits every variable but those that begin with `STEPFLOW_`. `Some`: it inherits these only.
    pub inherit_env: Option<Vec<String>>,
    /// More variables that it does not inherit: those in which the config keeps the server's secrets.
    pub withheld_env: Vec<String>,
    /// Where it runs. Absolute.
    pub cwd: PathBuf,
    /// How the process is spoken to.
    pub transport: Transport,
    /// The addresses of workers over HTTP that somebody else has started. When there are any, no process is.
    pub urls: Vec<String>,
    /// What workers over HTTP want to see as a bearer token. A process that is started gets it as
    /// `STEPFLOW_WORKER_TOKEN`.
    pub token: Option<String>,
    /// How a process that serves HTTP is asked whether it is up.
    pub health_check: HealthCheck,
    /// How long it may take until it has answered the handshake.
    pub start_timeout: Duration,
    /// How many processes are started.
    pub instances: usize,
    /// Caps what each process announces; stands for it when it announces nothing.
    pub max_concurrency: Option<usize>,
    /// The longest message that is sent or taken, in bytes.
    pub max_message: usize,
    /// How long a cancelled attempt may take to end before its process is replaced.
    pub cancel_grace: Duration,
    /// Whether outputs have to fit the schemas that its components declare for them.
    pub validate_outputs: bool,
    /// How long it may take to end by itself when it is shut down, before it is asked with SIGTERM, and again as long
    /// before it is killed.
    pub shutdown_grace: Duration,
    /// The program that, started with [`crate::WATCH_WORKERS`], ends what workers have started when this process is
    /// killed. `None`: nobody does.
    pub watcher: Option<PathBuf>,
    /// What is done when it dies.
    pub restart: RestartPolicy,
    /// What the environment has put into these options, each with the name to show in its place: it may be secret.
    pub filled_in: Vec<(String, String)>,
}

impl WorkerOptions {
    /// A text about the worker as it may be shown: without what the environment has put into these options.
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

/// How a process is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// On its pipes, unless the first line of its stdout names a port: then it serves HTTP there.
    #[default]
    Announced,
    /// On its pipes, whatever it writes.
    Stdio,
    /// Over HTTP, on the port that a line of its stdout names.
    Http,
}

/// How a worker over HTTP is asked whether it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path that answers with success then.
    pub path: String,
    /// How long that may take from when the port is known.
    pub timeout: Duration,
    /// The wait between two questions.
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
