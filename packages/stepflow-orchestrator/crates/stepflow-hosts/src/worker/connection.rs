//! The server's end of one conversation with a worker: what was asked, what is still owed. Transport-free: lines go
//! out as bytes and come in as messages.

use std::collections::HashMap;

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::TaskEnvelope;
use stepflow_protocol::{InitializeParams, Method, RuntimeCapabilities, Value, WorkerCapabilities};
use tokio::sync::oneshot;

use super::execute::{self, Verdict};
use super::message::{Body, Handshake};

/// How many executes a worker gets at once that announces nothing.
const LEGACY_CONCURRENCY: usize = 16;

/// The version of the protocol, the same since its beginning.
const PROTOCOL_VERSION: u32 = 1;

/// A conversation with one worker process.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    last_id: i64,
    /// Executes that wait for their answer. A slot is freed by its answer or with the connection, never by a timeout.
    open: HashMap<i64, TaskEnvelope>,
    /// A handshake request that waits for its answer.
    call: Option<(i64, oneshot::Sender<Result<Handshake, String>>)>,
    peer: Peer,
}

/// What the worker said it can do.
#[derive(Debug, Default)]
struct Peer {
    /// `None`: it announced nothing, as the published workers do.
    capabilities: Option<WorkerCapabilities>,
}

impl Connection {
    /// How many executes are open.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Asks for an execute.
    pub(crate) fn execute(&mut self, task: TaskEnvelope) -> Vec<u8> {
        self.last_id += 1;
        let line = execute::request_line(self.last_id, &task);
        self.open.insert(self.last_id, task);
        line
    }

    /// Asks who the worker is.
    pub(crate) fn initialize(&mut self) -> (Vec<u8>, oneshot::Receiver<Result<Handshake, String>>) {
        let params = InitializeParams {
            runtime_protocol_version: PROTOCOL_VERSION,
            observability: None,
            capabilities: Some(RuntimeCapabilities::default()),
        };
        self.call(Method::Initialize, Value::from_serialize(&params).unwrap_or_else(|_| empty()))
    }

    /// Notes what the worker can do, and tells it that work follows. The second line asks what it serves.
    pub(crate) fn initialized(&mut self, worker: Handshake) -> (Vec<u8>, oneshot::Receiver<Result<Handshake, String>>) {
        self.peer.capabilities = worker.capabilities;
        let mut lines = notification(Method::Initialized.name(), &empty());
        let (list, answer) = self.call(Method::ComponentsList, empty());
        lines.extend(list);
        (lines, answer)
    }

    /// The line that asks the worker to stop an execute, when it is open and the worker understands that.
    pub(crate) fn cancel(&self, task: TaskRef, reason: &str) -> Option<Vec<u8>> {
        let understands = self.peer.capabilities.as_ref().is_some_and(|worker| worker.cancel == Some(true));
        if !understands || !self.open.values().any(|open| open.task == task) {
            return None;
        }
        let params = Value::object([
            ("task_id", Value::string(&task.task_id.to_string())),
            ("attempt", Value::from(u64::from(task.attempt))),
            ("reason", Value::string(reason)),
        ]);
        Some(notification("components/cancel", &params))
    }

    /// How many executes may be open at once.
    pub(crate) fn capacity(&self, cap: Option<usize>) -> usize {
        let announced = self.peer.capabilities.as_ref().and_then(|worker| worker.max_concurrency);
        match (announced.map(|announced| announced as usize), cap) {
            (Some(announced), Some(cap)) => announced.min(cap).max(1),
            (announced, cap) => announced.or(cap).unwrap_or(LEGACY_CONCURRENCY).max(1),
        }
    }

    /// Takes an answer. `None` when it ends no execute.
    pub(crate) fn settle(&mut self, id: i64, body: Body) -> Option<(TaskEnvelope, Verdict)> {
        if let Some(task) = self.open.remove(&id) {
            let verdict = execute::verdict(&task, body, self.peer.capabilities.is_none());
            return Some((task, verdict));
        }
        match self.call.take_if(|(call, _)| *call == id) {
            // Whoever asked may have gone meanwhile.
            Some((_, waiting)) => _ = waiting.send(handshake(body)),
            None => tracing::warn!(id, "a worker answers a request that is not open"),
        }
        None
    }

    /// Ends the handshake for a reason that the worker gave by other means than an answer.
    pub(crate) fn fail_handshake(&mut self, problem: String) {
        if let Some((_, waiting)) = self.call.take() {
            // Whoever asked may have gone meanwhile.
            let _ = waiting.send(Err(problem));
        }
    }

    /// Gives up everything that is open: the worker is gone.
    pub(crate) fn abandon(&mut self) -> Vec<TaskEnvelope> {
        self.call = None;
        let mut open: Vec<(i64, TaskEnvelope)> = self.open.drain().collect();
        open.sort_unstable_by_key(|(id, _)| *id);
        open.into_iter().map(|(_, task)| task).collect()
    }

    fn call(&mut self, method: Method, params: Value) -> (Vec<u8>, oneshot::Receiver<Result<Handshake, String>>) {
        self.last_id += 1;
        let (sender, receiver) = oneshot::channel();
        self.call = Some((self.last_id, sender));
        let (id, method) = (self.last_id, method.name());
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        (framed(line), receiver)
    }
}

fn handshake(body: Body) -> Result<Handshake, String> {
    match body {
        Body::Handshake(handshake) => Ok(handshake),
        Body::Output(_) => Err("it answered the handshake with an `output`".to_owned()),
        Body::Error(error) => Err(format!("it refused the handshake: {} ({})", error.message, error.code)),
        Body::Malformed(problem) => Err(format!("it answered the handshake, but {problem}")),
    }
}

/// A notification.
fn notification(method: &str, params: &Value) -> Vec<u8> {
    framed(format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#))
}

/// The answer to a request of the worker, whose id is echoed as it came.
pub(crate) fn answer(id: &str, result: &Value) -> Vec<u8> {
    framed(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// The refusal of a request of the worker.
pub(crate) fn refusal(id: &str, code: i64, message: &str) -> Vec<u8> {
    let message = Value::string(message);
    framed(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#))
}

fn framed(mut line: String) -> Vec<u8> {
    line.push('\n');
    line.into_bytes()
}

fn empty() -> Value {
    Value::object::<&str>([])
}
