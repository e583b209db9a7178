//! The server's end of one conversation with a worker: which requests are open. Knows no transport: it gives lines to
//! send, and takes messages.

use std::collections::HashMap;

use serde_json::value::RawValue;
use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{Address, TaskEnvelope};
use stepflow_protocol::{InitializeParams, Method, RpcError, RuntimeCapabilities, Value, WorkerCapabilities};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::execute::{self, Verdict};
use super::message::{Body, Handshake};
use crate::fair::Lane;

/// How many executes a worker gets at once when it announces no limit.
const LEGACY_CONCURRENCY: usize = 16;

/// The version of the protocol, the same since its beginning.
const PROTOCOL_VERSION: u32 = 1;

/// A conversation with one worker.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    last_id: i64,
    /// Executes that wait for their answer. A slot is freed by the answer or with the connection, never by a timeout.
    open: HashMap<i64, OpenExecute>,
    /// How many of them wait for a sub-run.
    parked: usize,
    /// How many of those that wait for no sub-run are suspects of a crash.
    suspects: usize,
    /// The handshake request that waits for its answer.
    call: Option<(i64, HandshakeSender)>,
    /// What the worker announced; `None` when it announced nothing, as the published workers do.
    capabilities: Option<WorkerCapabilities>,
}

/// An execute that waits for its answer.
#[derive(Debug)]
pub(crate) struct OpenExecute {
    pub(crate) task: TaskEnvelope,
    pub(crate) lane: Lane,
    /// How many runs it waits for. They may need its slot.
    awaited_runs: u32,
    /// When the worker was asked to end it.
    pub(crate) cancelled: Option<Instant>,
    /// It has its slot, and was not sent: the engine marks it first. The number of that.
    held: Option<u64>,
}

impl OpenExecute {
    /// Whether it waits for a run: then it does not count against the capacity.
    pub(crate) fn is_parked(&self) -> bool {
        self.awaited_runs > 0
    }

    /// Whether it was not sent yet.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

/// The line of a request, and its number.
pub(crate) struct NumberedRequest {
    pub(crate) id: i64,
    pub(crate) line: Vec<u8>,
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// The worker sent something that is not the protocol.
    Protocol(String),
    /// The process serves HTTP on this port, and the message was sent to its pipes.
    Port(u16),
    /// The worker was not reached, or was lost.
    Unreached(String),
}

/// Where the result of a handshake request is sent.
type HandshakeSender = oneshot::Sender<Result<Handshake, HandshakeError>>;

/// Where the result of a handshake request is received.
pub(crate) type HandshakeReceiver = oneshot::Receiver<Result<Handshake, HandshakeError>>;

impl Connection {
    /// The executes that wait for their answer.
    pub(crate) fn open(&self) -> impl ExactSizeIterator<Item = &OpenExecute> {
        self.open.values()
    }

    /// The execute of this number.
    pub(crate) fn open_at(&self, id: i64) -> Option<&OpenExecute> {
        self.open.get(&id)
    }

    /// How many executes count against the worker's capacity: those that are open and do not wait for a sub-run.
    pub(crate) fn busy(&self) -> usize {
        self.open.len() - self.parked
    }

    /// How many of them count against the limit of this component.
    pub(crate) fn busy_at(&self, component: u32) -> usize {
        self.at_work().filter(|open| open.lane.component == component).count()
    }

    /// How many of them are suspects of a crash.
    pub(crate) fn suspects(&self) -> usize {
        self.suspects
    }

    /// The smallest limit among these suspects: no more of them may be here at once.
    pub(crate) fn max_suspects(&self) -> Option<u32> {
        if self.suspects == 0 {
            return None;
        }
        self.at_work().map(|open| open.lane.max_suspects).filter(|most| *most > 0).min()
    }

    /// The executes that count against the worker's capacity.
    pub(crate) fn at_work(&self) -> impl Iterator<Item = &OpenExecute> {
        self.open.values().filter(|open| !open.is_parked())
    }

    /// Makes the request of an execute.
    pub(crate) fn execute(&mut self, task: TaskEnvelope, lane: Lane) -> NumberedRequest {
        let line = execute::request_line(self.last_id + 1, &task);
        NumberedRequest { id: self.enter(task, lane, None), line }
    }

    /// Keeps the slot of an execute until [`Connection::proceed`] makes its request.
    pub(crate) fn hold(&mut self, task: TaskEnvelope, lane: Lane, hold: u64) {
        self.enter(task, lane, Some(hold));
    }

    /// Makes the request of an execute that is held with this number, if it still is.
    pub(crate) fn proceed(&mut self, task: TaskRef, hold: u64) -> Option<(NumberedRequest, Address)> {
        let mut all = self.open.iter_mut();
        let (id, open) = all.find(|(_, open)| open.task.task == task && open.held == Some(hold))?;
        open.held = None;
        Some((NumberedRequest { id: *id, line: execute::request_line(*id, &open.task) }, open.task.address()))
    }

    /// Removes an execute that is held.
    pub(crate) fn withdraw_held(&mut self, task: TaskRef) -> Option<OpenExecute> {
        let id = *self.open.iter().find(|(_, open)| open.task.task == task && open.is_held())?.0;
        self.withdraw(id)
    }

    /// Removes all executes that are held.
    pub(crate) fn withdraw_all_held(&mut self) -> Vec<OpenExecute> {
        let held = self.open.iter().filter(|(_, open)| open.is_held());
        let ids: Vec<i64> = held.map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.withdraw(id)).collect()
    }

    fn enter(&mut self, task: TaskEnvelope, lane: Lane, held: Option<u64>) -> i64 {
        self.last_id += 1;
        self.suspects += usize::from(lane.max_suspects > 0);
        self.open.insert(self.last_id, OpenExecute { task, lane, awaited_runs: 0, cancelled: None, held });
        self.last_id
    }

    /// An execute waits for a run, or for one more, and does not count while it does. `true` when it counted before.
    pub(crate) fn park(&mut self, task: TaskRef) -> bool {
        let Some(open) = self.find(task) else { return false };
        open.awaited_runs += 1;
        let (parked, suspect) = (open.awaited_runs == 1, open.lane.max_suspects > 0);
        self.parked += usize::from(parked);
        self.suspects -= usize::from(parked && suspect);
        parked
    }

    /// It waits for one run less. `true` when that was the last one, so that it counts again. Its slot may be taken by
    /// now: it continues in any case.
    pub(crate) fn unpark(&mut self, task: TaskRef) -> bool {
        let Some(open) = self.find(task).filter(|open| open.is_parked()) else { return false };
        open.awaited_runs -= 1;
        let (unparked, suspect) = (!open.is_parked(), open.lane.max_suspects > 0);
        self.parked -= usize::from(unparked);
        self.suspects += usize::from(unparked && suspect);
        unparked
    }

    fn find(&mut self, task: TaskRef) -> Option<&mut OpenExecute> {
        self.open.values_mut().find(|open| open.task.task == task)
    }

    /// Makes the request `initialize`.
    pub(crate) fn initialize(&mut self) -> (NumberedRequest, HandshakeReceiver) {
        let params = InitializeParams {
            runtime_protocol_version: PROTOCOL_VERSION,
            observability: None,
            capabilities: Some(RuntimeCapabilities { resume: Some(true), at_capacity: Some(true) }),
        };
        self.call(Method::Initialize, Value::from_serialize(&params).unwrap_or_else(|_| empty()))
    }

    /// Stores what the worker can do, and gives the notification `initialized`.
    pub(crate) fn initialized(&mut self, worker: Handshake) -> Vec<u8> {
        self.capabilities = worker.capabilities;
        notification(Method::Initialized.name(), &empty())
    }

    /// Makes the request `components/list`.
    pub(crate) fn list(&mut self) -> (NumberedRequest, HandshakeReceiver) {
        self.call(Method::ComponentsList, empty())
    }

    /// What the worker announced; `None` when it announced nothing.
    pub(crate) fn capabilities(&self) -> Option<&WorkerCapabilities> {
        self.capabilities.as_ref()
    }

    /// Whether a lost HTTP session with the worker can be taken up again.
    pub(crate) fn resumes(&self) -> bool {
        self.capabilities.as_ref().is_some_and(|worker| worker.resume == Some(true))
    }

    /// Whether the worker can be asked to end an execute.
    pub(crate) fn understands_cancels(&self) -> bool {
        self.capabilities.as_ref().is_some_and(|worker| worker.cancel == Some(true))
    }

    /// The executes that the worker was asked to end, each with the time of that.
    pub(crate) fn cancelled(&self) -> impl Iterator<Item = (i64, Instant)> {
        self.open.iter().filter_map(|(id, open)| Some((*id, open.cancelled?)))
    }

    /// Marks an execute as cancelled. `None` when it is not open or was cancelled before; else the line for the worker,
    /// if the worker understands cancels.
    pub(crate) fn cancel(&mut self, task: TaskRef, reason: &str) -> Option<Option<Vec<u8>>> {
        let understands = self.understands_cancels();
        let open = self.find(task).filter(|open| open.cancelled.is_none())?;
        open.cancelled = Some(Instant::now());
        Some(understands.then(|| cancellation(task, reason)))
    }

    /// The lines that ask the worker to end all executes, if it understands that. They do not count as cancelled: the
    /// engine still needs their answers.
    pub(crate) fn interrupt(&self, reason: &str) -> Vec<Vec<u8>> {
        let at_worker =
            self.open.values().filter(|open| self.understands_cancels() && open.cancelled.is_none() && !open.is_held());
        at_worker.map(|open| cancellation(open.task.task, reason)).collect()
    }

    /// How many executes may be open at once.
    pub(crate) fn capacity(&self, cap: Option<usize>) -> usize {
        let announced = self.capabilities.as_ref().and_then(|worker| worker.max_concurrency);
        match (announced.map(|announced| announced as usize), cap) {
            (Some(announced), Some(cap)) => announced.min(cap).max(1),
            (announced, cap) => announced.or(cap).unwrap_or(LEGACY_CONCURRENCY).max(1),
        }
    }

    /// Takes an answer. `None` when it does not end an execute.
    pub(crate) fn take_answer(&mut self, id: i64, body: Body) -> Option<(OpenExecute, Verdict)> {
        if let Some(open) = self.withdraw(id) {
            let verdict = execute::verdict(&open.task, body, self.capabilities.is_none());
            return Some((open, verdict));
        }
        match self.call.take_if(|(call, _)| *call == id) {
            // The receiver may be gone by now.
            Some((_, waiting)) => _ = waiting.send(handshake(body)),
            None => tracing::warn!(id, "a worker answers a request that is not open"),
        }
        None
    }

    /// Whether this request still waits for its answer.
    pub(crate) fn awaits_answer(&self, id: i64) -> bool {
        self.open.contains_key(&id) || self.call.as_ref().is_some_and(|(call, _)| *call == id)
    }

    /// Removes an execute that will not be answered.
    pub(crate) fn withdraw(&mut self, id: i64) -> Option<OpenExecute> {
        let open = self.open.remove(&id)?;
        self.parked -= usize::from(open.is_parked());
        self.suspects -= usize::from(!open.is_parked() && open.lane.max_suspects > 0);
        Some(open)
    }

    /// Ends the handshake without an answer of the worker. `false` when no handshake request is open.
    pub(crate) fn fail_handshake(&mut self, error: HandshakeError) -> bool {
        let Some((_, waiting)) = self.call.take() else { return false };
        // The receiver may be gone by now.
        let _ = waiting.send(Err(error));
        true
    }

    /// Waits for the port on which the worker serves HTTP: the result is a `HandshakeError::Port`.
    pub(crate) fn await_port(&mut self) -> HandshakeReceiver {
        let (sender, receiver) = oneshot::channel();
        self.call = Some((0, sender));
        receiver
    }

    /// Removes everything that is open: the worker is gone.
    pub(crate) fn abandon(&mut self) -> Vec<OpenExecute> {
        self.call = None;
        (self.parked, self.suspects) = (0, 0);
        let mut open: Vec<(i64, OpenExecute)> = self.open.drain().collect();
        open.sort_unstable_by_key(|(id, _)| *id);
        open.into_iter().map(|(_, open)| open).collect()
    }

    fn call(&mut self, method: Method, params: Value) -> (NumberedRequest, HandshakeReceiver) {
        self.last_id += 1;
        let (sender, receiver) = oneshot::channel();
        self.call = Some((self.last_id, sender));
        let (id, method) = (self.last_id, method.name());
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        (NumberedRequest { id, line: framed(line) }, receiver)
    }
}

fn handshake(body: Body) -> Result<Handshake, HandshakeError> {
    Err(HandshakeError::Protocol(match body {
        Body::Handshake(handshake) => return Ok(handshake),
        Body::Output(_) | Body::Refused(_) => "it answered the handshake with an `output`".to_owned(),
        Body::TooLong(problem) => format!("its answer to the handshake is too long: {problem}"),
        Body::Error(error) => format!("it refused the handshake: {} ({})", error.message, error.code),
        Body::Malformed(problem) => format!("its answer to the handshake cannot be read: {problem}"),
    }))
}

fn cancellation(task: TaskRef, reason: &str) -> Vec<u8> {
    let params = Value::object([
        ("task_id", Value::string(&task.task_id.to_string())),
        ("attempt", Value::from(u64::from(task.attempt))),
        ("reason", Value::string(reason)),
    ]);
    notification(Method::ComponentsCancel.name(), &params)
}

/// A notification.
fn notification(method: &str, params: &Value) -> Vec<u8> {
    framed(format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#))
}

/// The answer to a request of the worker, with its id as it came.
pub(crate) fn answer(id: &str, result: &RawValue) -> Vec<u8> {
    framed(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// The error for a request of the worker.
pub(crate) fn refusal(id: &str, error: &RpcError) -> Vec<u8> {
    let (code, message) = (error.code, Value::string(&error.message));
    let data = error.data.as_ref().map_or_else(String::new, |data| format!(r#","data":{data}"#));
    framed(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}{data}}}}}"#))
}

fn framed(mut line: String) -> Vec<u8> {
    line.push('\n');
    line.into_bytes()
}

fn empty() -> Value {
    Value::object::<&str>([])
}
