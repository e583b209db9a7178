//! Receives all messages of one instance, on every transport. Each of the worker's requests is served in its own task,
//! so that the reader never waits; the memory that they may take is limited here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::Address;
use stepflow_protocol::{RpcError, rpc_error_codes};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::broken::BrokenMessage;
use super::connection::{self, OpenExecute};
use super::core::Core;
use super::message::{Body, Message, TooLong};
use super::pool::{InstanceId, Pool};
use super::requests::{ExecuteIds, Executes, Requests};
use super::wire::Kind;

/// How much of a skipped message goes into the log.
const MAX_SHOWN: usize = 200;

/// How many skipped messages are logged one by one.
const MAX_LOGGED: usize = 10;

/// How long a worker that is full gets no task, unless one of this server's executes ends before.
const RETRY_FULL_AFTER: Duration = Duration::from_millis(250);

/// How many answers of any size are made at once for an instance.
const MAX_ANSWERS_AT_ONCE: usize = 4;

/// How many bytes of answers may be on their way over HTTP before the next one has to wait.
const MAX_UNSENT: usize = 64 << 20;

/// How many requests of an instance may be open. A worker with more does not read the answers.
const MAX_OPEN: usize = 10_000;

/// Receives messages for one instance. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Caller {
    core: Arc<Core>,
    id: InstanceId,
    load: Arc<Load>,
}

/// The memory that its requests and their answers take.
struct Load {
    turns: Arc<Semaphore>,
    open: AtomicUsize,
    /// Bytes of answers that were sent and have not arrived. Changed under the pool's lock.
    unsent: AtomicUsize,
    /// How many of its messages were skipped.
    skipped: AtomicUsize,
    /// Whether [`Caller::arrived`] is called for each answer. A pipe knows itself how much waits in it.
    reports_arrivals: bool,
}

impl Caller {
    /// For a worker on a pipe.
    pub(crate) fn on_pipe(core: &Arc<Core>, id: InstanceId) -> Self {
        Self::new(core, id, false)
    }

    /// For a worker over HTTP: the task that sends a message calls [`Caller::arrived`].
    pub(crate) fn by_messages(core: &Arc<Core>, id: InstanceId) -> Self {
        Self::new(core, id, true)
    }

    fn new(core: &Arc<Core>, id: InstanceId, reports_arrivals: bool) -> Self {
        let load = Load {
            turns: Arc::new(Semaphore::new(MAX_ANSWERS_AT_ONCE)),
            open: AtomicUsize::default(),
            unsent: AtomicUsize::default(),
            skipped: AtomicUsize::default(),
            reports_arrivals,
        };
        Self { core: Arc::clone(core), id, load: Arc::new(load) }
    }

    /// Takes a message. `within` is the request on whose stream it came, where each request has its own stream.
    pub(crate) fn receive(&self, within: Option<i64>, message: &[u8]) {
        match Message::read(message) {
            Ok(message) => self.take(within, message),
            Err(problem) => {
                self.skip(&problem);
                // Shortened: it may quote what a component was given.
                let beginning = String::from_utf8_lossy(&message[..message.len().min(MAX_SHOWN)]);
                let options = &self.core.options;
                tracing::debug!(plugin = options.name, message = options.shown(&beginning), "skipped");
            }
        }
    }

    /// Takes what is known of a message that was too long to be kept.
    pub(crate) fn receive_too_long(&self, within: Option<i64>, broken_message: BrokenMessage, problem: &TooLong) {
        match Message::too_long(broken_message, problem) {
            Ok(message) => self.take(within, message),
            Err(problem) => self.skip(&problem),
        }
    }

    /// An answer of this size has arrived, or never will.
    pub(crate) fn arrived(&self, bytes: usize) {
        self.core.shared.with(|pool| {
            self.load.unsent.fetch_sub(bytes, Ordering::Relaxed);
            pool.instance(self.id).inspect(|instance| instance.signals.room.notify_waiters());
        });
    }

    /// Logs the first skipped messages one by one, and after that only their number: a worker may write nothing else.
    fn skip(&self, problem: &str) {
        let (plugin, skipped) = (&self.core.options.name, self.load.skipped.fetch_add(1, Ordering::Relaxed) + 1);
        if skipped <= MAX_LOGGED || skipped.is_power_of_two() {
            tracing::warn!(plugin, skipped, %problem, "skipped output of a worker that is not a message");
        }
    }

    fn take_answer(&self, request: i64, body: Body) {
        if self.core.shared.with(|pool| pool.take_answer(self.id, request, body)) {
            let (core, id) = (Arc::clone(&self.core), self.id);
            tokio::spawn(async move {
                sleep(RETRY_FULL_AFTER).await;
                core.shared.with(|pool| pool.retry(id));
            });
        }
    }

    fn take(&self, within: Option<i64>, message: Message<'_>) {
        match message {
            Message::Answer { id, body } => self.take_answer(id, body),
            Message::Request { id, method, params } => {
                let Some(request) = WorkerRequest::new(self, within) else {
                    let problem = format!("{MAX_OPEN} requests of this worker have no answer yet: make fewer at once");
                    return self.refuse(within, id.get(), rpc_error_codes::SERVER_ERROR, problem);
                };
                let (id, method, params) =
                    (id.get().to_owned(), method.into_owned(), params.map(|raw| raw.get().to_owned()));
                tokio::spawn(async move {
                    let core = &request.caller.core;
                    let (served, max_message) = (&core.served, core.options.max_message);
                    let requests = Requests { served, executes: &request, max_message };
                    let line = requests.answer(&id, &method, params.as_deref()).await;
                    drop(params);
                    request.caller.reply(within, line).await;
                });
            }
            Message::Malformed { id, problem } => self.refuse(within, &id, rpc_error_codes::INVALID_REQUEST, problem),
            Message::Notification { method } => {
                tracing::debug!(plugin = self.core.options.name, %method, "a notification without meaning");
            }
        }
    }

    fn refuse(&self, within: Option<i64>, id: &str, code: i64, message: String) {
        let line = connection::refusal(id, &RpcError { code, message, data: None });
        self.core.shared.with(|pool| self.send(pool, within, line));
    }

    /// Sends an answer to the worker that asked, when there is room for it.
    async fn reply(&self, within: Option<i64>, line: Vec<u8>) {
        let mut line = Some(line);
        loop {
            let full = self.core.shared.with(|pool| {
                let full = self.full(pool);
                if full.is_none() {
                    self.send(pool, within, line.take()?);
                }
                full
            });
            let Some(room) = full else { return };
            room.await;
        }
    }

    /// A future that is ready when there may be room again. `None` when there is room now, or when the worker is gone.
    fn full(&self, pool: &Pool) -> Option<OwnedNotified> {
        let instance = pool.instance(self.id)?;
        let has_room = instance.has_room() && self.load.unsent.load(Ordering::Relaxed) < MAX_UNSENT;
        // Made under the lock, so that no wake-up is missed.
        (!has_room).then(|| Arc::clone(&instance.signals.room).notified_owned())
    }

    fn send(&self, pool: &mut Pool, within: Option<i64>, line: Vec<u8>) {
        let bytes = if self.load.reports_arrivals { line.len() } else { 0 };
        if pool.send_notification(self.id, line, Kind::Answer(within)).is_some() {
            self.load.unsent.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// A request of the worker that has no answer yet.
struct WorkerRequest {
    caller: Caller,
    /// The execute on whose stream it came.
    execute: Option<i64>,
    turn: Mutex<Option<OwnedSemaphorePermit>>,
}

impl WorkerRequest {
    /// `None` when too many are open.
    fn new(caller: &Caller, execute: Option<i64>) -> Option<Self> {
        let request = Self { caller: caller.clone(), execute, turn: Mutex::default() };
        (caller.load.open.fetch_add(1, Ordering::Relaxed) < MAX_OPEN).then_some(request)
    }
}

impl Drop for WorkerRequest {
    fn drop(&mut self) {
        self.caller.load.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Executes for WorkerRequest {
    fn open(&self) -> Vec<ExecuteIds> {
        self.caller.core.shared.look(|pool| {
            let Some(instance) = pool.instance(self.caller.id) else { return Vec::new() };
            match self.execute {
                Some(request) => instance.connection.open_at(request).into_iter().map(ExecuteIds::from).collect(),
                None => instance.connection.open().map(ExecuteIds::from).collect(),
            }
        })
    }

    fn address(&self, task: TaskRef) -> Option<Address> {
        self.caller.core.shared.look(|pool| pool.address(task))
    }

    fn park(&self, task: TaskRef) {
        self.caller.core.shared.with(|pool| pool.park(self.caller.id, task));
    }

    fn unpark(&self, task: TaskRef) {
        self.caller.core.shared.with(|pool| pool.unpark(self.caller.id, task));
    }

    fn turn(&self) -> BoxFuture<'_, ()> {
        async {
            if self.turn.lock().is_some() {
                return;
            }
            // The semaphore is never closed.
            let turn = Arc::clone(&self.caller.load.turns).acquire_owned().await.ok();
            *self.turn.lock() = turn;
            while let Some(room) = self.caller.core.shared.look(|pool| self.caller.full(pool)) {
                room.await;
            }
        }
        .boxed()
    }
}

impl From<&OpenExecute> for ExecuteIds {
    fn from(open: &OpenExecute) -> Self {
        Self { task: open.task.address(), run_id: open.task.run_id, step_id: open.task.step_id.clone() }
    }
}
