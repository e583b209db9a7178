//! Ends the processes that workers have started, when their server is killed. A worker dies with its server, but its
//! child processes do not, and the server can no longer end them. Therefore another process waits for the end of a
//! pipe from the server.
//!
//! The server tells it the workers' process groups. Processes that have left their group are found by a variable that
//! all of them have inherited. A process with neither is not ended.

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

/// How many times processes are searched: each time, new ones may have been started since the last.
const MAX_LOOKS: usize = 1000;

/// The server's end of the pipe.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) mark: String,
    pipe: ChildStdin,
}

impl Watcher {
    /// The watcher of this process; started by the first call. `None` when it cannot be started.
    pub(super) fn get(program: Option<&Path>) -> Option<&'static Self> {
        static WATCHER: OnceLock<Option<Watcher>> = OnceLock::new();
        let start = |program| {
            let started = Self::start(program);
            started.inspect_err(|error| tracing::warn!("what workers start is not watched: {error}")).ok()
        };
        program.and_then(|program| WATCHER.get_or_init(|| start(program)).as_ref())
    }

    /// The process gets none of the server's variables and no Ctrl-C.
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

    /// A worker has started: the leader of the group with this number.
    pub(super) fn started(&self, leader: i32) {
        self.tell("+", &leader.to_string());
    }

    /// The group is gone, and its number may be used again.
    pub(super) fn ended(&self, leader: i32) {
        self.tell("-", &leader.to_string());
    }

    fn tell(&self, sign: &str, what: &str) {
        // One write, so that lines of several threads do not mix. Without a watcher only this protection is lost.
        let _ = (&self.pipe).write_all(format!("{sign}{what}\n").as_bytes());
    }
}

/// Waits until stdin ends, and then ends the groups that it was told. For a process that does nothing else.
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
        // A killed process is still there for a moment, until its parent has reaped it.
        for _ in 0..MAX_LOOKS {
            if kill_marked(marked.as_bytes()) == 0 {
                break;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Kills every process with this in its environment; returns how many. The environment of a dead process is empty.
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
