//! The worker's process: it is started, watched, and killed with its child processes. All platform code is here.

#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::Mutex;
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};

use super::options::WorkerOptions;
use super::start_error::StartError;
use super::watcher::{MARK, Watcher};

/// The prefix of our own variables: settings of the server, and the variables of flows, which may be secret. A worker
/// may itself be a client of another server and must not use our settings by accident.
const OURS: &[u8] = b"STEPFLOW_";

/// A running process, leader of its own group. Dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Process {
    group: Group,
    exit: watch::Receiver<Option<Exit>>,
}

/// How a process ended; `None` when the system has not kept it, as where SIGCHLD is ignored.
pub(crate) type Exit = Option<ExitStatus>;

/// Our end of a process's stdin.
pub(crate) type Stdin = pipe::Sender;

/// Our end of a process's stdout or stderr.
pub(crate) type Output = pipe::Receiver;

/// Our ends of a process's pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

/// A process group whose leader has not been reaped yet: until then no other process can get its number.
#[derive(Debug, Clone)]
struct Group {
    leader: libc::pid_t,
    reaped: Arc<Mutex<bool>>,
}

impl Process {
    /// Starts a worker.
    pub(crate) async fn start(options: &WorkerOptions) -> Result<(Self, Pipes), StartError> {
        let program = find_program(options)?;
        let cannot_run = |reason: String| StartError::CannotRun {
            plugin: options.name.clone(),
            command: options.shown(&program.display().to_string()),
            reason: options.shown(&reason),
        };
        let watcher = Watcher::get(options.watcher.as_deref());
        let mut command = command(&program, options);
        command.envs(watcher.map(|watcher| (MARK, &watcher.mark)));
        let mut child = spawn(command).await.map_err(|error| cannot_run(reason(&error, options)))?;
        let pipes = take_pipes(&mut child);
        // From here on the child is killed when something goes wrong.
        let process = Self::watch(child, watcher).map_err(|error| cannot_run(error.to_string()))?;
        Ok((process, pipes.map_err(|error| cannot_run(error.to_string()))?))
    }

    /// The process's number.
    pub(crate) fn id(&self) -> i32 {
        self.group.leader
    }

    /// Waits for the process to end. Its group is dead by then.
    pub(crate) async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        // The watching thread ends only after it has sent the exit.
        exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.flatten())
    }

    /// Asks the process and its children to end.
    pub(crate) fn terminate(&self) {
        self.group.signal(libc::SIGTERM);
    }

    /// Kills the process and its children.
    pub(crate) fn kill(&self) {
        self.group.signal(libc::SIGKILL);
    }

    /// Starts a thread that waits for the child's end.
    fn watch(mut child: Child, watcher: Option<&'static Watcher>) -> io::Result<Self> {
        let leader = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
        let group = Group { leader, reaped: Arc::default() };
        let (tell, exit) = watch::channel(None);
        let process = Self { group: group.clone(), exit };
        watcher.inspect(|watcher| watcher.started(leader));
        thread::Builder::new().name(format!("worker {leader}")).stack_size(64 * 1024).spawn(move || {
            group.wait_for_leader();
            let mut reaped = group.reaped.lock();
            group.send(libc::SIGKILL);
            watcher.inspect(|watcher| watcher.ended(leader));
            let status = child.wait();
            *reaped = true;
            drop(reaped);
            let _ = tell.send(Some(status.ok()));
        })?;
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Group {
    /// Blocks until the leader has ended, and does not reap it: its children are killed before its number is free
    /// again.
    fn wait_for_leader(&self) {
        loop {
            // SAFETY: an all-zero `siginfo_t` is a valid value of that plain C struct.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            let options = libc::WEXITED | libc::WNOWAIT;
            // SAFETY: `info` is a valid place to write to, and `leader` is our child, reaped by this thread only.
            let waited = unsafe { libc::waitid(libc::P_PID, self.leader.unsigned_abs(), &raw mut info, options) };
            if waited == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }

    fn signal(&self, signal: libc::c_int) {
        let reaped = self.reaped.lock();
        if !*reaped {
            self.send(signal);
        }
    }

    /// Signals the group. Only while its leader is not reaped.
    fn send(&self, signal: libc::c_int) {
        // SAFETY: `killpg` takes no pointers; the group is ours as long as its leader is not reaped.
        let _ = unsafe { libc::killpg(self.leader, signal) };
    }
}

/// How a process ended, for people: `exit status 1`, `killed by signal 9 (SIGKILL)`.
pub(crate) fn describe(exit: Exit) -> String {
    let Some(status) = exit else { return "exit status unknown".to_owned() };
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(_)) => format!("killed by {}", status.to_string().replace(": ", " ")),
        (None, None) => status.to_string(),
    }
}

/// Whether a process ended with status 0.
pub(crate) fn is_clean(exit: Exit) -> bool {
    exit.is_some_and(|status| status.success())
}

type Spawned = oneshot::Sender<io::Result<Child>>;

/// Spawns on one thread that lives as long as the server. Linux sends the parent-death signal when the *thread* that
/// spawned ends, and threads of the runtime come and go.
async fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<io::Result<mpsc::Sender<(Command, Spawned)>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<(Command, Spawned)>();
        thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            for (mut command, reply) in queue {
                // The host was dropped by now: nothing waits for this child.
                if let Err(Ok(mut orphan)) = reply.send(command.spawn()) {
                    let _ = orphan.kill();
                    let _ = orphan.wait();
                }
            }
        })?;
        Ok(jobs)
    });
    let spawner = spawner.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let (reply, spawned) = oneshot::channel();
    spawner.send((command, reply)).map_err(io::Error::other)?;
    spawned.await.map_err(io::Error::other)?
}

fn command(program: &Path, options: &WorkerOptions) -> Command {
    let mut command = Command::new(program);
    command.args(&options.args).current_dir(&options.cwd).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| inherits(options, name)));
    // Tells a worker that serves HTTP to choose a free port.
    command.env("STEPFLOW_WORKER_PORT", "0");
    command.envs(options.token.iter().map(|token| ("STEPFLOW_WORKER_TOKEN", token)));
    command.envs(&options.env);
    die_with_parent(&mut command);
    command
}

/// Whether a worker inherits this variable of the server.
fn inherits(options: &WorkerOptions, name: &OsStr) -> bool {
    let in_list = |names: &[String]| names.iter().any(|listed| name == listed.as_str());
    let wanted = match &options.inherit_env {
        None => !name.as_encoded_bytes().starts_with(OURS),
        Some(names) => in_list(names),
    };
    wanted && !in_list(&options.withheld_env)
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let arm = move || {
        // SAFETY: `prctl` with these arguments touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // A parent that died before the signal was armed sends none.
        // SAFETY: `getppid` touches no memory and cannot fail.
        if unsafe { libc::getppid() }.unsigned_abs() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec; it makes two async-signal-safe system calls and neither
    // allocates nor takes a lock.
    unsafe { command.pre_exec(arm) };
}

/// On other systems the worker notices the end of its stdin.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

/// To be called inside a runtime, which will watch the pipes.
fn take_pipes(child: &mut Child) -> io::Result<Pipes> {
    fn taken<T: Into<OwnedFd>>(end: Option<T>) -> io::Result<OwnedFd> {
        end.map(Into::into).ok_or_else(|| io::Error::other("its pipes are missing"))
    }
    Ok(Pipes {
        stdin: Stdin::from_owned_fd(taken(child.stdin.take())?)?,
        stdout: Output::from_owned_fd(taken(child.stdout.take())?)?,
        stderr: Output::from_owned_fd(taken(child.stderr.take())?)?,
    })
}

/// The system's error text, with an explanation where the text alone is misleading.
fn reason(error: &io::Error, options: &WorkerOptions) -> String {
    if error.kind() != io::ErrorKind::NotFound {
        error.to_string()
    } else if !options.cwd.is_dir() {
        format!("its working directory `{}` does not exist", options.cwd.display())
    } else {
        "the interpreter that its first line names does not exist".to_owned()
    }
}

/// The program's path: as written if there is a slash in it, else from `PATH`, else beside the server's binary.
fn find_program(options: &WorkerOptions) -> Result<PathBuf, StartError> {
    let not_found = |searched: String| StartError::CommandNotFound {
        plugin: options.name.clone(),
        command: options.shown(&options.command),
        searched: options.shown(&searched),
    };
    if options.command.contains('/') {
        let path = options.cwd.join(&options.command);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(not_found(format!("there is no file `{}`", path.display())))
        };
    }
    let path = options.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let beside = std::env::current_exe().ok().and_then(|server| Some(server.parent()?.to_owned()));
    folders(&path)
        .chain(beside)
        .map(|folder| options.cwd.join(folder).join(&options.command))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| not_found("looked for in PATH and beside the server".to_owned()))
}

fn folders(path: &OsStr) -> impl Iterator<Item = PathBuf> {
    // An empty entry means the current folder, which is never intended here.
    std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty())
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
