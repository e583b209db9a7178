//! The renderers of a server: at most one process for each processor. A renderer is started when it is needed, kept for
//! the next template, and ended when a template has broken a limit.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread::available_parallelism;

use parking_lot::Mutex;
use rustix::process::Signal;
use stepflow_protocol::{ErrorKind, FlowError, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;

use super::{MAX_MEMORY, MAX_SECONDS, MIB, RENDER_TEMPLATES, Rendered};

/// How much is read of what a dead renderer wrote to stderr.
const MAX_STDERR: u64 = 4096;

/// The renderers that are idle, and how many more may run.
pub(in crate::builtin) struct Renderers {
    program: Option<PathBuf>,
    idle: Mutex<Vec<Renderer>>,
    free: Semaphore,
}

/// A process that waits for a template. Dropping it kills the process.
struct Renderer {
    process: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Renderers {
    pub(in crate::builtin) fn new(program: Option<PathBuf>) -> Self {
        let most = available_parallelism().map_or(1, usize::from);
        Self { program, idle: Mutex::default(), free: Semaphore::new(most) }
    }

    /// The step's output for its input.
    pub(in crate::builtin) async fn render(&self, input: &Value) -> Rendered {
        let _turn = self.free.acquire().await.map_err(|error| broken(&error.to_string()))?;
        let mut renderer = self.take()?;
        match renderer.ask(input.as_str().as_bytes()).await {
            Ok(answer) => {
                self.idle.lock().push(renderer);
                serde_json::from_slice(&answer).map_err(|error| broken(&error.to_string()))?
            }
            Err(lost) => Err(renderer.cause_of_death(&lost).await),
        }
    }

    /// An idle renderer that is still alive, or a new one.
    fn take(&self) -> Result<Renderer, FlowError> {
        let mut idle = self.idle.lock();
        while let Some(mut renderer) = idle.pop() {
            if matches!(renderer.process.try_wait(), Ok(None)) {
                return Ok(renderer);
            }
        }
        drop(idle);
        let program = self.program.as_deref().ok_or_else(|| broken("this server has no program for it"))?;
        Renderer::start(program).map_err(|error| broken(&format!("`{}`: {error}", program.display())))
    }
}

impl Renderer {
    /// The process gets none of the server's variables and no Ctrl-C: it ends with the server.
    fn start(program: &Path) -> io::Result<Self> {
        let mut process = Command::new(program)
            .arg(RENDER_TEMPLATES)
            .env_clear()
            // It limits its address space. The server's allocator would take more than that at once.
            .env("MIMALLOC_ARENA_RESERVE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else { return Err(io::ErrorKind::BrokenPipe.into()) };
        Ok(Self { process, stdin, stdout, stderr })
    }

    async fn ask(&mut self, input: &[u8]) -> io::Result<Vec<u8>> {
        self.stdin.write_u64_le(input.len() as u64).await?;
        self.stdin.write_all(input).await?;
        let length = self.stdout.read_u64_le().await?;
        let mut answer = Vec::new();
        (&mut self.stdout).take(length).read_to_end(&mut answer).await?;
        if (answer.len() as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
    }

    /// Why there was no answer: usually which limit the template broke.
    async fn cause_of_death(mut self, lost: &io::Error) -> FlowError {
        // A renderer closes its stdout only when it ends, so neither wait is long.
        let status = self.process.wait().await;
        let mut stderr = Vec::new();
        // Without it, the exit status has to be enough.
        let _ = self.stderr.take(MAX_STDERR).read_to_end(&mut stderr).await;
        let stderr = String::from_utf8_lossy(&stderr);
        match status {
            Ok(status) => ended(status, stderr.trim()),
            Err(error) => broken(&format!("{lost}, {error}")),
        }
    }
}

/// The failure of a template whose renderer has ended.
fn ended(status: ExitStatus, stderr: &str) -> FlowError {
    match broken_bound(status, stderr) {
        Some(bound) => FlowError::new(ErrorKind::InvalidInput, format!("the template {bound}")),
        None if stderr.is_empty() => broken(&format!("its process ended with {status}")),
        None => broken(&format!("its process ended with {status}: {stderr}")),
    }
}

/// Which limit killed the renderer, if one did. The system ends a process that takes too long, and the Rust run-time
/// ends one that gets no more memory.
fn broken_bound(status: ExitStatus, stderr: &str) -> Option<String> {
    let signal = status.signal()?;
    if signal == Signal::XCPU.as_raw() {
        Some(format!("takes more than {MAX_SECONDS} s of processor time"))
    } else if stderr.contains("stack") {
        Some("nests too deeply".to_owned())
    } else if stderr.contains("memory") {
        Some(format!("needs more than {} MiB of memory", MAX_MEMORY / MIB))
    } else {
        None
    }
}

fn broken(reason: &str) -> FlowError {
    FlowError::new(ErrorKind::OrchestratorError, format!("the template could not be rendered: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renderer_that_somebody_else_has_ended_says_how() {
        let cases = [
            (9, "", "its process ended with signal: 9 (SIGKILL)"),
            (1 << 8, "no such program", "its process ended with exit status: 1: no such program"),
        ];
        for (status, stderr, expected) in cases {
            let error = ended(ExitStatus::from_raw(status), stderr);
            assert_eq!(error.kind, ErrorKind::OrchestratorError);
            assert_eq!(error.message, format!("the template could not be rendered: {expected}"));
        }
    }

    #[test]
    fn a_renderer_that_its_template_has_ended_names_the_bound() {
        let ended = ended(ExitStatus::from_raw(Signal::XCPU.as_raw()), "");
        assert_eq!((ended.kind, ended.message.contains("5 s of processor time")), (ErrorKind::InvalidInput, true));
    }
}
