//! Ends what workers have started when their server is killed. A worker dies with its server, but not what it has
//! started, and nobody is left to end that: so a process of our own waits for the end of a pipe from the server.
//!
//! It knows the workers' process groups, as the server tells them; and what has left its group, by a variable that all
//! of it has inherited. What has neither goes on.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The only argument with which the watching process is started.
pub const WATCH_WORKERS: &str = "watch-workers";

/// The variable that tells which server a process belongs to.
pub(super) const MARK: &str = "STEPFLOW_WORKER_MARK";

/// How often it is looked for processes at most: each time some may have been started since the last.
const MAX_LOOKS: usize = 1000;

/// The server's end.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) mark: String,
    pipe: ChildStdin,
}

impl Watcher {
    /// The one of this process, which is started when it is needed first. `None` where it cannot be.
    pub(super) fn get(program: Option<&Path>) -> Option<&'static Self> {
        static WATCHER: OnceLock<Option<Watcher>> = OnceLock::new();
        let start = |program| {
            let started = Self::start(program);
            started.inspect_err(|error| tracing::warn!("what workers start is not watched: {error}")).ok()
        };
        program.and_then(|program| WATCHER.get_or_init(|| start(program)).as_ref())
    }

    /// It gets nothing of the server's environment, and no Ctrl-C.
    fn start(program: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg(WATCH_WORKERS).env_clear().process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let watcher = Self { mark: format!("{}-{now}", std::process::id()), pipe };
        watcher.tell("=", &watcher.mark);
        Ok(watcher)
    }

    /// A worker has started, the leader of a group of this number.
    pub(super) fn started(&self, leader: i32) {
        self.tell("+", &leader.to_string());
    }

    /// The group is gone, and its number somebody else's.
    pub(super) fn ended(&self, leader: i32) {
        self.tell("-", &leader.to_string());
    }

    fn tell(&self, sign: &str, what: &str) {
        // In one piece, whatever thread it is. Where nobody watches any more, that is all that is lost.
        let _ = (&self.pipe).write_all(format!("{sign}{what}\n").as_bytes());
    }
}

/// Waits until stdin ends, and ends what was told there. For a process that does nothing else.
#[must_use]
pub fn watch_workers() -> ExitCode {
    let (mut mark, mut groups) = (String::new(), BTreeSet::new());
    for line in io::stdin().lines().map_while(Result::ok) {
        match line.split_at_checked(1) {
            Some(("=", told)) => told.clone_into(&mut mark),
            Some(("+", leader)) => _ = groups.insert(leader.to_owned()),
            Some(("-", leader)) => _ = groups.remove(leader),
            _ => {}
        }
    }
    for leader in groups.iter().filter_map(|leader| Pid::from_raw(leader.parse().ok()?)) {
        // It may have ended by itself.
        let _ = kill_process_group(leader, Signal::KILL);
    }
    if !mark.is_empty() {
        let marked = format!("{MARK}={mark}");
        // What is killed is still there for a moment, until its parent knows.
        for _ in 0..MAX_LOOKS {
            if kill_marked(marked.as_bytes()) == 0 {
                break;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Kills every process with this in its environment; how many there were. The environment of a dead one is empty.
fn kill_marked(marked: &[u8]) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = processes.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        environment.split(|byte| *byte == 0).any(|variable| variable == marked).then_some(pid)
    });
    // It may have ended by itself.
    let kill = |pid| _ = kill_process(pid, Signal::KILL);
    ours.inspect(|pid| kill(*pid)).count()
}
