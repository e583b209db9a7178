//! A worker that somebody else has started, from its handshake until it is lost or has done its last task.

use std::sync::Arc;

use stepflow_flow::visible::quoted;
use stepflow_protocol::{ErrorKind, FlowError, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout};

use super::client::Client;
use super::conversation::Conversation;
use super::session::{Session, Trouble};
use crate::worker::connection::HandshakeError;
use crate::worker::core::Core;
use crate::worker::core::stopped;
use crate::worker::pool::{Instance, InstanceId, Loss, Pool, Signals, shut_down};
use crate::worker::start_error::StartError;
use crate::worker::status::InstanceState;
use crate::worker::wire::Wire;

/// A worker that has answered. Dropping it gives up its attempts.
pub(crate) struct Peer {
    core: Arc<Core>,
    id: InstanceId,
    url: String,
    signals: Signals,
    conversation: Conversation,
}

/// How the state of a worker has changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PeerChange {
    /// It is gone; the text says how, for people.
    Lost(String),
    /// It takes no more tasks.
    Leaving,
    /// It takes no more tasks and has none left.
    Idle,
}

impl Peer {
    /// Begins a conversation and does the handshake. After it the worker gets tasks.
    pub(crate) async fn begin(
        core: &Arc<Core>,
        slot: usize,
        url: &str,
        client: &Arc<Client>,
    ) -> Result<Self, StartError> {
        let session = Session::open(client).await.map_err(|trouble| start_error_at(core, url, trouble))?;
        let (sender, outgoing) = mpsc::unbounded_channel();
        let name = format!("{}/{}", core.options.name, client.address.authority());
        let (id, signals) = core.add_instance(name, core.options.shown(url), Wire::Messages(Some(sender)));
        let conversation = Conversation::start(core, id, client, session, false, outgoing);
        let peer = Self { core: Arc::clone(core), id, url: core.options.shown(url), signals, conversation };
        let limit = core.options.start_timeout;
        let trouble = match timeout(limit, core.greet(id, slot)).await {
            Ok(Ok(())) => return Ok(peer),
            Ok(Err(HandshakeError::Protocol(problem))) => Trouble::Wrong(problem),
            Ok(Err(HandshakeError::Unreached(problem))) => Trouble::Absent(problem),
            Ok(Err(HandshakeError::Port(port))) => Trouble::Wrong(format!("it answered with the port {port}")),
            Err(_) => Trouble::Absent(format!("it did not answer the handshake within {} s", limit.as_secs_f64())),
        };
        Err(start_error_at(core, url, trouble))
    }

    /// Whether it has answered an execute, or has crashed with some that may be the reason.
    pub(crate) fn was_useful(&self) -> bool {
        let crashed = |instance: &Instance| matches!(instance.state, InstanceState::Reconnecting | InstanceState::Lost);
        let useful =
            |instance: &Instance| instance.answered > 0 || (crashed(instance) && instance.connection.open().len() > 0);
        self.core.shared.look(|pool| pool.instance(self.id).is_some_and(useful))
    }

    /// Waits until the worker gets no more tasks.
    pub(crate) async fn wait_until_leaving(&self) -> PeerChange {
        self.watch(|state, _| (state == InstanceState::Leaving).then_some(PeerChange::Leaving)).await
    }

    /// Waits until a worker that gets no more tasks has none left, and then removes it.
    pub(crate) async fn retire(self, mut stop: watch::Receiver<bool>) {
        let change = tokio::select! {
            change = self.watch(|_, open| (open == 0).then_some(PeerChange::Idle)) => change,
            () = stopped(&mut stop) => return self.shut_down().await,
        };
        if let PeerChange::Lost(how) = change {
            self.lost(&how);
        }
    }

    /// Ends the conversation, because the server stops. The worker is asked to end what it has; what it answers in a
    /// short time counts.
    pub(crate) async fn shut_down(self) {
        self.core.shared.with(Pool::leave_peers);
        let idle = self.watch(|_, open| (open == 0).then_some(PeerChange::Idle));
        let _ = timeout(self.core.options.shutdown_grace, idle).await;
    }

    /// Gives up a worker that is gone.
    pub(crate) fn lost(self, how: &str) {
        let plugin = &self.core.options.name;
        tracing::warn!(plugin, url = self.url, "the worker was lost: {how}");
        let message = format!(
            "the worker of plugin {plugin} at `{}` was lost in the middle of the step: {how}",
            self.url,
            plugin = quoted(plugin)
        );
        let error = FlowError::new(ErrorKind::Unreachable, message).with([("plugin", Value::string(plugin))]);
        self.core.shared.with(|pool| _ = pool.remove_instance(self.id, &Loss::Crash { error, stderr: String::new() }));
    }

    /// Waits until the worker is lost or until `done`, from its state and its number of executes, gives a change. This
    /// worker cannot be replaced when a cancelled execute does not end. A worker that understands cancels will say when
    /// the execute ends, and its slot is taken until then. For any other worker the only way is to break off the
    /// request.
    async fn watch(&self, done: impl Fn(InstanceState, usize) -> Option<PeerChange>) -> PeerChange {
        let mut failure = self.signals.failure.subscribe();
        loop {
            let seen = self.core.shared.look(|pool| {
                let instance = pool.instance(self.id)?;
                let connection = &instance.connection;
                let cancelled = connection.cancelled().filter(|_| !connection.understands_cancels());
                let due = cancelled.map(|(request, at)| (at + self.core.options.cancel_grace, request));
                Some((instance.state, connection.open().len(), due.min()))
            });
            let Some((state, open, due)) = seen else { return PeerChange::Idle };
            if let Some(change) = done(state, open) {
                return change;
            }
            let overdue = async {
                match due {
                    Some((due, request)) => {
                        sleep_until(due).await;
                        request
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                failure = failure.wait_for(Option::is_some) => {
                    let why = failure.ok().and_then(|failure| Some(failure.as_ref()?.why.clone()));
                    return PeerChange::Lost(why.unwrap_or_default());
                }
                () = self.signals.attention.notified() => {}
                request = overdue => self.break_off(request),
            }
        }
    }

    fn break_off(&self, request: i64) {
        self.conversation.break_off(request);
        self.core.shared.with(|pool| pool.lose_execute(self.id, request, shut_down()));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.core.shared.with(|pool| _ = pool.remove_instance(self.id, &Loss::Ordered(shut_down())));
    }
}

/// The error when no conversation with the worker at an address could begin.
pub(crate) fn start_error_at(core: &Core, url: &str, trouble: Trouble) -> StartError {
    let (plugin, url) = (core.options.name.clone(), core.options.shown(url));
    match trouble {
        Trouble::Absent(problem) => StartError::Unreached { plugin, url, problem },
        Trouble::Wrong(problem) => StartError::NotAWorker { plugin, url, problem },
    }
}
