//! Keeps a worker process alive: starts it, shakes hands, notices its death, starts it again.

use std::sync::Arc;
use std::time::Duration;

use stepflow_engine::ports::Lost;
use stepflow_protocol::{ErrorKind, FlowError, Value};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::host::Core;
use super::link::{Link, Phase, Signals, State, shut_down};
use super::message::Handshake;
use super::process::{self, Output, Process, Stdin};
use super::start_error::StartError;
use super::stdio::{self, LastWords};
use crate::components::Components;

/// How long the pipes of a dead process are read: a grandchild may hold them open for ever.
const DRAIN: Duration = Duration::from_millis(500);

/// How long a process whose pipes broke may take to end by itself.
const DYING: Duration = Duration::from_secs(1);

/// How many lines of stderr go into a message.
const SHOWN_LINES: usize = 20;

/// The outcome of the first start, for whoever waits for it.
pub(crate) type FirstStart = watch::Sender<Option<Result<(), StartError>>>;

/// A process with the tasks that serve its pipes.
struct Incarnation {
    process: Process,
    words: LastWords,
    signals: Signals,
    reader: JoinHandle<()>,
    stderr: JoinHandle<()>,
    writer: JoinHandle<()>,
}

/// How the life of a process ended.
enum End {
    /// It never answered the handshake.
    NotStarted(StartError),
    /// It died; the text says how.
    Crashed { how: String, words: String },
    /// We were asked to end.
    ShutDown,
}

/// Why a handshake failed.
enum Fault {
    Ended(String),
    TimedOut,
    Protocol(String),
}

/// Runs until `stop` says true or its sender is gone.
pub(crate) async fn supervise(core: Arc<Core>, mut stop: watch::Receiver<bool>, first: FirstStart) {
    let mut has_served = false;
    let mut failed_starts = 0;
    loop {
        let delay = match live(&core, &mut stop, &first).await {
            End::ShutDown => return,
            End::NotStarted(error) if has_served => core.crashed(&error.to_string(), ""),
            End::NotStarted(error) => {
                // The first failure is the answer of `start`, and its caller's to report.
                if failed_starts > 0 {
                    tracing::warn!(plugin = core.options.name, "{error}");
                }
                failed_starts += 1;
                core.shared.with(|state| state.refuse(error.as_flow_error(&core.options.name)));
                first.send_replace(Some(Err(error)));
                core.options.restart.delay(failed_starts)
            }
            End::Crashed { how, words } => {
                has_served = true;
                core.crashed(&how, &words)
            }
        };
        tokio::select! {
            () = sleep(delay) => {}
            () = stopped(&mut stop) => return,
        }
    }
}

/// The life of one process.
async fn live(core: &Arc<Core>, stop: &mut watch::Receiver<bool>, first: &FirstStart) -> End {
    let incarnation = match Incarnation::start(core).await {
        Ok(incarnation) => incarnation,
        Err(error) => return End::NotStarted(error),
    };
    let greeted = tokio::select! {
        greeted = incarnation.greet(core) => greeted,
        () = stopped(stop) => {
            incarnation.shut_down(core).await;
            return End::ShutDown;
        }
    };
    if let Err(fault) = greeted {
        let words = incarnation.finish(core, &shut_down()).await;
        return End::NotStarted(core.start_error(fault, words));
    }
    first.send_replace(Some(Ok(())));
    tokio::select! {
        how = incarnation.death() => {
            let words = incarnation.drain().await;
            End::Crashed { how, words }
        }
        () = stopped(stop) => {
            incarnation.shut_down(core).await;
            End::ShutDown
        }
    }
}

impl Incarnation {
    /// Starts the process and the tasks around it.
    async fn start(core: &Arc<Core>) -> Result<Self, StartError> {
        let (process, pipes) = Process::start(&core.options).await?;
        let instance: Arc<str> = format!("{}/{}", core.options.name, process.id()).into();
        let stdin = Arc::new(pipes.stdin);
        let link = Link::new(Arc::clone(&instance), Arc::clone(&stdin));
        let (signals, words) = (link.signals.clone(), LastWords::default());
        core.shared.with(|state| {
            state.link = Some(link);
            state.last_words = words.clone();
        });
        Ok(Self {
            reader: tokio::spawn(read(Arc::clone(core), instance, pipes.stdout)),
            stderr: tokio::spawn(listen(core.options.name.clone(), words.clone(), pipes.stderr)),
            writer: tokio::spawn(write(Arc::clone(core), stdin, signals.clone())),
            process,
            words,
            signals,
        })
    }

    /// Shakes hands and opens the worker for tasks.
    async fn greet(&self, core: &Core) -> Result<(), Fault> {
        tokio::select! {
            greeted = timeout(core.options.start_timeout, handshake(core)) => match greeted {
                Ok(greeted) => greeted.map_err(Fault::Protocol),
                Err(_) => Err(Fault::TimedOut),
            },
            how = self.death() => Err(Fault::Ended(how)),
        }
    }

    /// Waits until the process has ended, or can be of no more use; says how.
    async fn death(&self) -> String {
        let fault = async {
            let mut fault = self.signals.fault.subscribe();
            let fault = fault.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
            // Mostly it is just dying, and its exit status says more.
            sleep(DYING).await;
            fault
        };
        tokio::select! {
            status = self.process.ended() => process::describe(status),
            fault = fault => fault.unwrap_or_else(|| "its pipes are broken".to_owned()),
        }
    }

    /// Makes sure that the process is dead, and reads what it left in its pipes. Gives its last lines on stderr.
    async fn drain(mut self) -> String {
        self.process.kill();
        self.process.ended().await;
        let both = async {
            let _ = (&mut self.reader).await;
            let _ = (&mut self.stderr).await;
        };
        let _ = timeout(DRAIN, both).await;
        for task in [&mut self.reader, &mut self.stderr, &mut self.writer] {
            task.abort();
        }
        // A task that ran while it was aborted must have ended before the next process gets its own.
        for task in [self.reader, self.stderr, self.writer] {
            if !task.is_finished() {
                let _ = task.await;
            }
        }
        self.words.last_lines(SHOWN_LINES)
    }

    /// Drains and gives up what is open.
    async fn finish(self, core: &Core, lost: &Lost) -> String {
        let words = self.drain().await;
        core.shared.with(|state| state.unlink(lost));
        words
    }

    /// Ends the process: first by the end of its input, then by SIGTERM, then by force.
    async fn shut_down(self, core: &Core) {
        core.shared.with(State::shut_down);
        // It holds the pipe as well.
        self.writer.abort();
        let grace = core.options.shutdown_grace;
        if timeout(grace, self.process.ended()).await.is_err() {
            self.process.terminate();
            let _ = timeout(grace, self.process.ended()).await;
        }
        self.finish(core, &shut_down()).await;
    }
}

/// `initialize`, `initialized`, `components/list`; then tasks go out.
async fn handshake(core: &Core) -> Result<(), String> {
    let worker = core.ask(|link| link.connection.initialize()).await?;
    let listed = core.ask(|link| link.connection.initialized(worker)).await?;
    let infos = listed.components.ok_or("it answered `components/list` without `components`")?;
    let components = Arc::new(Components::new(&core.options.name, infos, core.options.validate_outputs));
    core.shared.with(|state| {
        state.components = Some(components);
        state.phase = Phase::Ready;
        if let Some(link) = &mut state.link {
            link.capacity = link.connection.capacity(core.options.max_concurrency);
        }
    });
    Ok(())
}

impl Core {
    async fn ask(
        &self,
        request: impl FnOnce(&mut Link) -> (Vec<u8>, oneshot::Receiver<Result<Handshake, String>>),
    ) -> Result<Handshake, String> {
        let answer = self.shared.with(|state| {
            let link = state.link.as_mut()?;
            let (line, answer) = request(link);
            link.outbox.push(line, None);
            Some(answer)
        });
        let broken = || "the conversation was broken off".to_owned();
        answer.ok_or_else(broken)?.await.map_err(|_| broken())?
    }

    /// Answers every open attempt, and decides how long the worker stays down.
    fn crashed(&self, how: &str, words: &str) -> Duration {
        let (plugin, policy) = (&self.options.name, &self.options.restart);
        tracing::warn!(plugin, "the worker ended: {how}");
        let data =
            || [("plugin", Value::string(plugin)), ("status", Value::string(how)), ("stderr", Value::string(words))];
        let message = format!("the worker of plugin `{plugin}` ended in the middle of the step: {how}");
        let lost =
            Lost { error: FlowError::new(ErrorKind::Unreachable, message).with(data()), spends: true, back_off: false };
        self.shared.with(|state| {
            // First the phase: the engine may offer again while it is told.
            state.crashes += 1;
            let delay = if state.crashes < policy.crashes {
                state.phase = Phase::Starting;
                policy.delay(state.crashes)
            } else {
                let (crashes, pause) = (state.crashes, policy.pause.as_secs_f64());
                let message = format!(
                    "the worker of plugin `{plugin}` ended {crashes} times without one answer, the last time with {how}: \
                     it is left alone for {pause} s"
                );
                state.refuse(FlowError::new(ErrorKind::Unreachable, message).with(data()));
                policy.pause
            };
            state.unlink(&lost);
            delay
        })
    }

    fn start_error(&self, fault: Fault, stderr: String) -> StartError {
        let (plugin, command) = (self.options.name.clone(), self.command_line());
        match fault {
            Fault::Ended(status) => StartError::Died { plugin, command, status, stderr },
            Fault::TimedOut => StartError::Timeout { plugin, command, after: self.options.start_timeout, stderr },
            Fault::Protocol(problem) => StartError::Protocol { plugin, command, problem, stderr },
        }
    }
}

/// Reads the worker's messages until its stdout ends.
async fn read(core: Arc<Core>, instance: Arc<str>, stdout: Output) {
    let ended = stdio::read_lines(stdout, |line| core.receive(&instance, line)).await;
    let fault = ended.map_or_else(|error| error.to_string(), |()| "it closed its stdout".to_owned());
    core.shared.with(|state| state.link.as_mut().map(|link| link.fail(fault)));
}

/// Writes what the pipe did not take at once, whenever it takes more.
async fn write(core: Arc<Core>, stdin: Arc<Stdin>, signals: Signals) {
    loop {
        signals.unwritten.notified().await;
        if stdin.writable().await.is_err() {
            return;
        }
        // Every change writes; what is left then wakes this task again.
        core.shared.with(|_| ());
        signals.room.notify_waiters();
    }
}

/// Logs and keeps what the worker writes to stderr.
async fn listen(plugin: String, words: LastWords, stderr: Output) {
    let ended = stdio::read_lines(stderr, |line| {
        words.push(line);
        tracing::info!(target: "worker", plugin, "{}", String::from_utf8_lossy(line));
    });
    if let Err(error) = ended.await {
        tracing::warn!(plugin, "the worker's stderr is read no more: {error}");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the host was dropped, which is the same.
    let _ = stop.wait_for(|stop| *stop).await;
}
