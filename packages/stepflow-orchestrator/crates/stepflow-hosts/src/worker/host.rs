//! The component host of a worker process on stdio.

use std::sync::Arc;

use parking_lot::Mutex;
use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Blobs, ComponentHost, Inbox, Purity, Target, TaskEnvelope};
use stepflow_protocol::{ComponentInfo, ErrorKind, FlowError, Value, codes};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::blobs;
use super::connection;
use super::link::{Phase, Shared, State};
use super::message::Message;
use super::options::WorkerOptions;
use super::start_error::StartError;
use super::supervisor::{self, FirstStart};

/// How much of a line that is skipped goes into the log.
const SHOWN_BYTES: usize = 200;

/// A plugin whose components a worker process serves, which this host starts, feeds and replaces.
pub struct StdioWorker {
    core: Arc<Core>,
    stop: watch::Sender<bool>,
    first: FirstStart,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

/// What the host shares with the tasks around its process.
pub(crate) struct Core {
    pub(crate) options: WorkerOptions,
    pub(crate) shared: Shared,
    blobs: Arc<dyn Blobs>,
}

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

impl StdioWorker {
    /// A worker that is not started yet; tasks that are offered before wait.
    #[must_use]
    pub fn new(options: WorkerOptions, inbox: Arc<dyn Inbox>, blobs: Arc<dyn Blobs>) -> Self {
        let core = Arc::new(Core { options, shared: Shared::new(inbox), blobs });
        Self { core, stop: watch::Sender::new(false), first: watch::Sender::new(None), supervisor: Mutex::default() }
    }

    /// Starts the worker and waits until it has answered the handshake or failed to. A worker that fails is tried
    /// again in the background until [`StdioWorker::shutdown`]; tasks are refused meanwhile.
    ///
    /// # Errors
    /// Why the first process did not come to answer.
    pub async fn start(&self) -> Result<(), StartError> {
        let mut first = self.first.subscribe();
        self.supervisor.lock().get_or_insert_with(|| {
            tokio::spawn(supervisor::supervise(Arc::clone(&self.core), self.stop.subscribe(), self.first.clone()))
        });
        let mut stop = self.stop.subscribe();
        let gone = || StartError::ShutDown { plugin: self.core.options.name.clone() };
        tokio::select! {
            biased;
            started = first.wait_for(Option::is_some) => {
                started.map_err(|_| gone())?.clone().unwrap_or_else(|| Err(gone()))
            }
            _ = stop.wait_for(|stop| *stop) => Err(gone()),
        }
    }

    /// What the worker serves, as it said at its last handshake.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentInfo> {
        let components = self.core.shared.look(|state| state.components.clone());
        components.map(|components| components.infos().to_vec()).unwrap_or_default()
    }

    /// Whether tasks go out.
    #[must_use]
    pub fn health(&self) -> Health {
        self.core.shared.look(|state| match &state.phase {
            Phase::Starting => Health::Starting,
            Phase::Ready => Health::Ready,
            Phase::Refusing(error) => Health::Down(error.message.clone()),
            Phase::ShutDown => Health::ShutDown,
        })
    }

    /// What the current or last process wrote to stderr, its last 64 KiB.
    #[must_use]
    pub fn last_words(&self) -> String {
        self.core.shared.look(|state| state.last_words.clone()).all()
    }

    /// Ends the worker, with its grandchildren, and waits until it is gone. Open attempts are answered as lost without
    /// spending anything.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let supervisor = self.supervisor.lock().take();
        if let Some(supervisor) = supervisor {
            // It ends in a few seconds: every wait in it is bounded or ends with `stop`.
            let _ = supervisor.await;
        }
        self.core.shared.with(State::shut_down);
    }
}

impl ComponentHost for StdioWorker {
    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError> {
        let plugin = &self.core.options.name;
        let (phase, components) = self.core.shared.look(|state| (state.phase.clone(), state.components.clone()));
        match (components, phase) {
            (Some(components), _) => components.check(plugin, path, input)?,
            (None, Phase::Refusing(error)) => return Err(error),
            (None, Phase::ShutDown) => {
                let message = format!("the plugin `{plugin}` is shut down");
                return Err(FlowError::new(ErrorKind::Unreachable, message));
            }
            // Nobody knows yet what the worker serves: it will say so itself.
            (None, Phase::Starting | Phase::Ready) => {}
        }
        let route = Route { plugin: plugin.clone(), component: path.to_owned() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn offer(&self, task: TaskEnvelope) {
        self.core.shared.with(|state| state.offer(task));
    }

    fn cancel(&self, _route: &Route, task: TaskRef, reason: &str) {
        self.core.shared.with(|state| state.cancel(task, reason));
    }
}

impl Core {
    /// The command with its arguments, for messages.
    pub(crate) fn command_line(&self) -> String {
        self.options.args.iter().fold(self.options.command.clone(), |line, arg| line + " " + arg)
    }

    /// Takes a line of the worker's stdout.
    pub(crate) fn receive(self: &Arc<Self>, instance: &Arc<str>, line: &[u8]) {
        let plugin = &self.options.name;
        match Message::read(line) {
            Ok(Message::Answer { id, body }) => self.shared.with(|state| state.settle(id, body)),
            Ok(Message::Request { id, method, params }) => {
                let (core, instance) = (Arc::clone(self), Arc::clone(instance));
                let (id, method, params) =
                    (id.get().to_owned(), method.into_owned(), params.map(|raw| raw.get().to_owned()));
                tokio::spawn(async move {
                    let line = blobs::serve(core.blobs.as_ref(), &id, &method, params.as_deref()).await;
                    core.reply(&instance, line).await;
                });
            }
            Ok(Message::Malformed { id, problem }) => {
                let (core, instance) = (Arc::clone(self), Arc::clone(instance));
                let line = connection::refusal(id.get(), codes::INVALID_REQUEST, &problem);
                tokio::spawn(async move { core.reply(&instance, line).await });
            }
            Ok(Message::Notification { method }) => tracing::debug!(plugin, %method, "a notification without meaning"),
            Ok(Message::HttpPort(port)) => {
                let problem = format!("it serves HTTP on port {port}, and this server drives workers on stdio only");
                self.shared.with(|state| state.link.as_mut().map(|link| link.connection.fail_handshake(problem)));
            }
            Err(problem) => {
                let shown = String::from_utf8_lossy(&line[..line.len().min(SHOWN_BYTES)]);
                tracing::warn!(plugin, %problem, line = %shown, "skipped a line on the worker's stdout that is no message");
            }
        }
    }

    /// Sends an answer to the process that asked, once there is room for it.
    async fn reply(&self, instance: &Arc<str>, line: Vec<u8>) {
        let mut line = Some(line);
        loop {
            let room = self.shared.with(|state| {
                let link = state.link.as_mut().filter(|link| link.instance == *instance)?;
                if link.outbox.has_room() {
                    link.outbox.push(line.take()?, None);
                    return None;
                }
                // Made under the lock, so that no wake-up is missed.
                Some(Arc::clone(&link.signals.room).notified_owned())
            });
            let Some(room) = room else { return };
            room.await;
        }
    }
}
