//! What a host shares with the tasks around its workers: the way in for all that workers say, on every transport.

use std::sync::Arc;

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::Served;
use stepflow_protocol::{RpcError, codes};

use super::broken::Remains;
use super::connection::{self, Answer, Asked, Open, Refusal};
use super::message::{Handshake, Message, TooLong};
use super::options::WorkerOptions;
use super::pool::{Instance, InstanceId, Shared, Signals};
use super::requests::{Executes, OpenExecute, Requests};
use super::wire::{Kind, Wire};
use crate::components::Components;

/// How much of a message that is skipped goes into the log.
const SHOWN_BYTES: usize = 200;

/// See the module.
pub(crate) struct Core {
    pub(crate) options: WorkerOptions,
    pub(crate) shared: Shared,
    pub(crate) served: Served,
}

impl Core {
    /// The command with its arguments, for messages.
    pub(crate) fn command_line(&self) -> String {
        let line = self.options.args.iter().fold(self.options.command.clone(), |line, arg| line + " " + arg);
        self.options.shown(&line)
    }

    /// Lets a worker in: from now on what it says is heard. `address` is for people.
    pub(crate) fn enter(&self, name: String, address: String, wire: Wire) -> (InstanceId, Signals) {
        self.shared.with(|pool| {
            let instance = pool.enter(name, address, wire);
            (instance.id, instance.signals.clone())
        })
    }

    /// `initialize`, `initialized`, `components/list`; then tasks go out.
    pub(crate) async fn greet(&self, id: InstanceId, slot: usize) -> Result<(), Refusal> {
        let worker = self.ask(id, |instance| instance.connection.initialize()).await?;
        let initialized = self.shared.with(|pool| {
            let line = pool.instance_mut(id)?.connection.initialized(worker);
            pool.tell(id, line, Kind::Notification)
        });
        initialized.ok_or_else(broken_off)?;
        let listed = self.ask(id, |instance| instance.connection.list()).await?;
        let unlisted = || Refusal::Protocol("it answered `components/list` without `components`".to_owned());
        for problem in &listed.left_out {
            tracing::warn!(plugin = self.options.name, "left out {problem}");
        }
        let infos = listed.components.ok_or_else(unlisted)?;
        let components = Arc::new(Components::new(&self.options.name, infos, self.options.validate_outputs));
        self.shared.with(|pool| pool.ready(id, slot, components, self.options.max_concurrency));
        Ok(())
    }

    async fn ask(
        &self,
        id: InstanceId,
        request: impl FnOnce(&mut Instance) -> (Asked, Answer),
    ) -> Result<Handshake, Refusal> {
        let answer = self.shared.with(|pool| pool.ask(id, request));
        answer.ok_or_else(broken_off)?.await.map_err(|_| broken_off())?
    }

    /// The port on which a process says that it serves HTTP.
    pub(crate) async fn port(&self, id: InstanceId) -> Result<u16, Refusal> {
        let named = self.shared.with(|pool| Some(pool.instance_mut(id)?.connection.await_port()));
        match named.ok_or_else(broken_off)?.await {
            Ok(Err(Refusal::Port(port))) => Ok(port),
            Ok(Err(refusal)) => Err(refusal),
            Ok(Ok(_)) | Err(_) => Err(broken_off()),
        }
    }

    /// Takes a message of a worker. `within` is the request whose own stream it came on, where there are such streams.
    pub(crate) fn receive(self: &Arc<Self>, id: InstanceId, within: Option<i64>, message: &[u8]) {
        match Message::read(message) {
            Ok(message) => self.take(id, within, message),
            Err(problem) => {
                let shown = String::from_utf8_lossy(&message[..message.len().min(SHOWN_BYTES)]);
                self.skip(&problem, &shown);
            }
        }
    }

    /// Takes what is left of a message that was too long to be kept.
    pub(crate) fn receive_too_long(
        self: &Arc<Self>,
        id: InstanceId,
        within: Option<i64>,
        remains: Remains,
        problem: &TooLong,
    ) {
        match Message::too_long(remains, problem) {
            Ok(message) => self.take(id, within, message),
            Err(problem) => self.skip(&problem, ""),
        }
    }

    fn skip(&self, problem: &str, message: &str) {
        let plugin = &self.options.name;
        tracing::warn!(plugin, %problem, message, "skipped what a worker says that is no message");
    }

    fn take(self: &Arc<Self>, id: InstanceId, within: Option<i64>, message: Message<'_>) {
        let plugin = &self.options.name;
        match message {
            Message::Answer { id: request, body } => self.shared.with(|pool| pool.settle(id, request, body)),
            Message::Request { id: request, method, params } => {
                let conversation = Conversation { core: Arc::clone(self), id, execute: within };
                let (request, method, params) =
                    (request.get().to_owned(), method.into_owned(), params.map(|raw| raw.get().to_owned()));
                tokio::spawn(async move {
                    let (served, max_message) = (&conversation.core.served, conversation.core.options.max_message);
                    let requests = Requests { served, executes: &conversation, max_message };
                    let line = requests.answer(&request, &method, params.as_deref()).await;
                    conversation.core.reply(id, within, line).await;
                });
            }
            Message::Malformed { id: request, problem } => {
                let core = Arc::clone(self);
                let error = RpcError { code: codes::INVALID_REQUEST, message: problem, data: None };
                let line = connection::refusal(&request, &error);
                tokio::spawn(async move { core.reply(id, within, line).await });
            }
            Message::Notification { method } => tracing::debug!(plugin, %method, "a notification without meaning"),
        }
    }

    /// Sends an answer to the worker that asked, once there is room for it.
    async fn reply(&self, id: InstanceId, within: Option<i64>, line: Vec<u8>) {
        let mut line = Some(line);
        loop {
            let room = self.shared.with(|pool| {
                let instance = pool.instance(id)?;
                if instance.has_room() {
                    pool.tell(id, line.take()?, Kind::Answer(within));
                    return None;
                }
                // Made under the lock, so that no wake-up is missed.
                Some(Arc::clone(&instance.signals.room).notified_owned())
            });
            let Some(room) = room else { return };
            room.await;
        }
    }
}

/// The way by which a request came.
struct Conversation {
    core: Arc<Core>,
    id: InstanceId,
    /// The execute that has this way for itself.
    execute: Option<i64>,
}

impl Executes for Conversation {
    fn open(&self) -> Vec<OpenExecute> {
        self.core.shared.look(|pool| {
            let Some(instance) = pool.instance(self.id) else { return Vec::new() };
            match self.execute {
                Some(request) => instance.connection.open_at(request).into_iter().map(OpenExecute::from).collect(),
                None => instance.connection.open().map(OpenExecute::from).collect(),
            }
        })
    }

    fn park(&self, task: TaskRef) {
        self.core.shared.with(|pool| pool.park(self.id, task));
    }

    fn unpark(&self, task: TaskRef) {
        self.core.shared.with(|pool| pool.unpark(self.id, task));
    }
}

impl From<&Open> for OpenExecute {
    fn from(open: &Open) -> Self {
        Self { task: open.task.task, run_id: open.task.run_id, step_id: open.task.step_id.clone() }
    }
}

fn broken_off() -> Refusal {
    Refusal::Protocol("the conversation was broken off".to_owned())
}
