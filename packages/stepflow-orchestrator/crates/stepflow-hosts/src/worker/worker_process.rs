//! One process of a worker with the tasks that serve its pipes, from its start until its pipes are read to the end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stepflow_engine::ports::Lost;
use stepflow_protocol::{ErrorKind, FlowError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::caller::Caller;
use super::connection::HandshakeError;
use super::core::{Core, stopped};
use super::crash::crashed_in_retirement;
use super::http::{self, Conversation};
use super::message::announced_port;
use super::options::Transport;
use super::pool::{ConnectionFailure, InstanceId, Loss, Pool, Signals, shut_down};
use super::process::{self, Output, Process, Stdin};
use super::start_error::StartError;
use super::status::InstanceState;
use super::stderr_tail::StderrTail;
use super::stdio::{self, Outbox, WorkerLine};
use super::wire::Wire;

/// How long the pipes of a dead process are read: a process that it started may keep them open for ever.
const DRAIN: Duration = Duration::from_millis(500);

/// How long a process whose pipes broke may take to end by itself.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// How long a process that is to be replaced may take to finish its tasks.
const RETIREMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How many lines of stderr an error shows.
const SHOWN_LINES: usize = 20;

/// A process of a worker.
pub(crate) struct WorkerProcess {
    pub(crate) id: InstanceId,
    pub(crate) started_at: Instant,
    process: Process,
    stderr_tail: StderrTail,
    signals: Signals,
    reader: JoinHandle<()>,
    stderr: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// Set when it serves HTTP.
    http: OnceLock<Conversation>,
}

/// How a process died.
pub(crate) struct Death {
    /// For people.
    pub(crate) how: String,
    /// Its exit status says that all was well.
    pub(crate) clean: bool,
}

/// Why a handshake failed.
pub(crate) enum GreetError {
    Ended(String),
    TimedOut,
    Refused(HandshakeError),
}

impl WorkerProcess {
    /// Starts the process and the tasks around it.
    pub(crate) async fn start(core: &Arc<Core>) -> Result<Self, StartError> {
        let (process, pipes) = Process::start(&core.options).await?;
        let stdin = Arc::new(pipes.stdin);
        let name = format!("{}/{}", core.options.name, process.id());
        let wire = Wire::Pipe(Outbox::new(Arc::clone(&stdin)));
        let (id, signals) = core.add_instance(name, format!("pid {}", process.id()), wire);
        let stderr_tail = StderrTail::default();
        // What explains the end of the process before is kept until this one is up.
        core.shared.with(|pool| {
            if pool.stderr_tail.is_empty() {
                pool.stderr_tail = stderr_tail.clone();
            }
        });
        Ok(Self {
            id,
            started_at: Instant::now(),
            reader: tokio::spawn(read(Arc::clone(core), id, pipes.stdout)),
            stderr: tokio::spawn(read_stderr(Arc::clone(core), stderr_tail.clone(), pipes.stderr)),
            writer: tokio::spawn(write(Arc::clone(core), stdin, signals.clone())),
            process,
            stderr_tail,
            signals,
            http: OnceLock::new(),
        })
    }

    /// Does the handshake. After it the worker gets tasks.
    pub(crate) async fn greet(&self, core: &Arc<Core>, slot: usize) -> Result<(), GreetError> {
        tokio::select! {
            greeted = timeout(core.options.start_timeout, self.shake_hands(core, slot)) => match greeted {
                Ok(greeted) => greeted.map_err(GreetError::Refused).inspect(|()| {
                    core.shared.with(|pool| pool.stderr_tail = self.stderr_tail.clone());
                }),
                Err(_) => Err(GreetError::TimedOut),
            },
            death = self.death() => Err(GreetError::Ended(death.how)),
        }
    }

    async fn shake_hands(&self, core: &Arc<Core>, slot: usize) -> Result<(), HandshakeError> {
        let port = match core.options.transport {
            Transport::Http => core.port(self.id).await?,
            Transport::Stdio => return core.greet(self.id, slot).await,
            Transport::Announced => match core.greet(self.id, slot).await {
                Err(HandshakeError::Port(port)) => port,
                greeted => return greeted,
            },
        };
        let conversation = http::move_to(core, self.id, port).await?;
        // Set only once.
        let _ = self.http.set(conversation);
        core.greet(self.id, slot).await
    }

    /// Waits until the process has ended or cannot be used any more.
    pub(crate) async fn death(&self) -> Death {
        let broken = async {
            let mut failure = self.signals.failure.subscribe();
            let _ = failure.wait_for(Option::is_some).await;
            // Usually the process is ending, and its exit status says more.
            sleep(EXIT_WAIT).await;
        };
        let ended = tokio::select! {
            exit = self.process.ended() => Some(exit),
            () = broken => None,
        };
        let failure = self.signals.failure.borrow().clone();
        match (ended, failure) {
            (None, Some(ConnectionFailure { why, .. }))
            | (Some(_), Some(ConnectionFailure { why, is_informative: true })) => Death { how: why, clean: false },
            (exit, _) => {
                let exit = exit.flatten();
                Death { how: process::describe(exit), clean: process::is_clean(exit) }
            }
        }
    }

    /// Waits until the process is to be replaced: it accepts no more executes, or a cancelled one does not end.
    pub(crate) async fn wait_until_replaceable(&self, core: &Core) {
        loop {
            let due = core.shared.look(|pool| {
                let instance = pool.instance(self.id)?;
                if instance.state == InstanceState::Leaving {
                    return Some(Instant::now());
                }
                let cancelled = instance.connection.open().filter_map(|open| open.cancelled);
                cancelled.min().map(|at| at + core.options.cancel_grace)
            });
            let attention = self.signals.attention.notified();
            match due {
                Some(due) if due <= Instant::now() => return core.shared.with(|pool| pool.leave(self.id)),
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = attention => {}
                },
                None => attention.await,
            }
        }
    }

    /// Whether it has answered an execute, or has one that does not end.
    pub(crate) fn was_useful(&self, core: &Core) -> bool {
        let useful = |pool: &Pool| {
            let instance = pool.instance(self.id)?;
            Some(instance.answered > 0 || instance.connection.cancelled().next().is_some())
        };
        core.shared.look(useful).unwrap_or(false)
    }

    /// Waits until the process has no executes but those that were cancelled and do not end.
    async fn wait_until_finished(&self, core: &Core) {
        loop {
            let ends: Vec<Option<Instant>> = core.shared.look(|pool| {
                let open = pool.instance(self.id).into_iter().flat_map(|instance| instance.connection.open());
                open.map(|open| open.cancelled.map(|at| at + core.options.cancel_grace)).collect()
            });
            let attention = self.signals.attention.notified();
            match ends.into_iter().collect::<Option<Vec<Instant>>>().map(|ends| ends.into_iter().max()) {
                // There are still executes that may end.
                None => attention.await,
                Some(Some(end)) if end > Instant::now() => tokio::select! {
                    () = sleep_until(end) => {}
                    () = attention => {}
                },
                Some(_) => return,
            }
        }
    }

    /// Ends a process that gets no more tasks, when its attempts have ended, or after a minute.
    pub(crate) async fn retire(self, core: Arc<Core>, mut stop: watch::Receiver<bool>) {
        let death = tokio::select! {
            _ = timeout(RETIREMENT_TIMEOUT, self.wait_until_finished(&core)) => None,
            death = self.death() => Some(death),
            () = stopped(&mut stop) => return self.shut_down(&core).await,
        };
        let open = core.shared.look(|pool| pool.instance(self.id).is_some_and(|it| it.connection.open().len() > 0));
        if death.is_none() && !open {
            // All its attempts have ended: the end of its input tells it to end.
            core.shared.with(|pool| pool.instance_mut(self.id).map(|instance| instance.close()));
            self.ask_to_end();
            let _ = timeout(core.options.shutdown_grace, self.process.ended()).await;
        }
        match death {
            Some(Death { how, clean: false }) => {
                let (id, stderr) = (self.id, self.drain().await);
                crashed_in_retirement(&core, id, &how, &stderr);
            }
            _ => _ = self.finish(&core, &Loss::Ordered(replaced())).await,
        }
    }

    /// Makes sure that the process is dead, and reads what is left in its pipes. Returns its last lines on stderr.
    pub(crate) async fn drain(mut self) -> String {
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
        // Wait until the aborted tasks have ended, before the next process gets its own.
        for task in [self.reader, self.stderr, self.writer] {
            if !task.is_finished() {
                let _ = task.await;
            }
        }
        self.stderr_tail.last_lines(SHOWN_LINES)
    }

    /// Drains the pipes and answers the open attempts.
    pub(crate) async fn finish(self, core: &Core, loss: &Loss) -> String {
        let (id, stderr_tail) = (self.id, self.stderr_tail.clone());
        let stderr = self.drain().await;
        core.shared.with(|pool| {
            if !stderr_tail.is_empty() {
                pool.stderr_tail = stderr_tail;
            }
            pool.remove_instance(id, loss);
        });
        stderr
    }

    /// Ends the process: first by the end of its input, then by SIGTERM, then by SIGKILL.
    pub(crate) async fn shut_down(self, core: &Core) {
        core.shared.with(Pool::shut_down);
        self.ask_to_end();
        let grace = core.options.shutdown_grace;
        if timeout(grace, self.process.ended()).await.is_err() {
            self.process.terminate();
            let _ = timeout(grace, self.process.ended()).await;
        }
        self.finish(core, &Loss::Ordered(shut_down())).await;
    }

    /// On pipes a worker ends with its input; one that serves HTTP understands only the signal.
    fn ask_to_end(&self) {
        // The writer holds the pipe as well.
        self.writer.abort();
        if self.http.get().is_some() {
            self.process.terminate();
        }
    }
}

/// The result of an attempt whose process we ended because of another attempt.
fn replaced() -> Lost {
    let message = "the worker was replaced: another attempt in it was cancelled and did not end";
    let error = FlowError::new(ErrorKind::Unreachable, message);
    Lost { error, spends: false, back_off: false, suspects: 0 }
}

/// Reads the worker's messages until its stdout ends. A worker that serves HTTP may write anything there.
async fn read(core: Arc<Core>, id: InstanceId, stdout: Output) {
    let caller = Caller::on_pipe(&core, id);
    let (transport, mut is_first, mut has_moved) = (core.options.transport, true, false);
    let mut moves = |line: &[u8]| {
        let may_announce = match transport {
            Transport::Stdio => false,
            Transport::Announced => is_first,
            Transport::Http => !has_moved,
        };
        is_first = false;
        let port = may_announce.then(|| announced_port(line)).flatten();
        let told = |port| core.shared.with(|pool| pool.fail_handshake(id, HandshakeError::Port(port)));
        has_moved |= port.is_some_and(told);
        has_moved
    };
    let ended = stdio::read_lines(stdout, core.options.max_message, |line| match line {
        WorkerLine::Line(line) if line.trim_ascii().is_empty() => {}
        WorkerLine::Line(line) if moves(line) || transport == Transport::Http => {
            tracing::info!(target: "worker", plugin = core.options.name, "{}", core.options.shown(&String::from_utf8_lossy(line)));
        }
        WorkerLine::Line(line) => caller.receive(None, line),
        WorkerLine::TooLong(problem, broken_message) => caller.receive_too_long(None, broken_message, &problem),
    })
    .await;
    if has_moved {
        return;
    }
    let failure = match ended {
        Ok(()) => ConnectionFailure { why: "it closed its stdout".to_owned(), is_informative: false },
        Err(error) => ConnectionFailure { why: error.to_string(), is_informative: true },
    };
    core.shared.with(|pool| pool.instance_mut(id).map(|instance| instance.fail(failure)));
}

/// Writes what the pipe did not take at once, when the pipe can take more.
async fn write(core: Arc<Core>, stdin: Arc<Stdin>, signals: Signals) {
    loop {
        signals.unwritten.notified().await;
        if stdin.writable().await.is_err() {
            return;
        }
        // Every change of the pool writes; if something is left, this task is woken again.
        core.shared.with(|_| ());
        signals.room.notify_waiters();
    }
}

/// Logs and keeps what the worker writes to stderr.
async fn read_stderr(core: Arc<Core>, tail: StderrTail, stderr: Output) {
    let plugin = &core.options.name;
    let ended = stdio::read_text(stderr, |line| {
        let line = core.options.shown(&String::from_utf8_lossy(line));
        tail.push(line.as_bytes());
        tracing::info!(target: "worker", plugin, "{line}");
    });
    if let Err(error) = ended.await {
        tracing::warn!(plugin, "the worker's stderr is read no more: {error}");
    }
}
