//! What a host shares with the tasks around its workers.

use std::sync::Arc;

use crate::served::ServedToWorkers;
use tokio::sync::watch;

use super::connection::{HandshakeError, HandshakeReceiver, NumberedRequest};
use super::message::Handshake;
use super::options::WorkerOptions;
use super::pool::{Instance, InstanceId, Shared, Signals};
use super::wire::{Kind, Wire};
use crate::components::Components;

/// What a host and its tasks share.
pub(crate) struct Core {
    pub(crate) options: WorkerOptions,
    pub(crate) shared: Shared,
    pub(crate) served: ServedToWorkers,
}

impl Core {
    /// The command with its arguments, for messages.
    pub(crate) fn command_line(&self) -> String {
        let line = self.options.args.iter().fold(self.options.command.clone(), |line, arg| line + " " + arg);
        self.options.shown(&line)
    }

    /// Adds an instance. Its messages are accepted from now on. `address` is for people.
    pub(crate) fn add_instance(&self, name: String, address: String, wire: Wire) -> (InstanceId, Signals) {
        self.shared.with(|pool| {
            let instance = pool.add_instance(name, address, wire);
            (instance.id, instance.signals.clone())
        })
    }

    /// The handshake: `initialize`, `initialized`, `components/list`. After it the instance gets tasks.
    pub(crate) async fn greet(&self, id: InstanceId, slot: usize) -> Result<(), HandshakeError> {
        let worker = self.ask(id, |instance| instance.connection.initialize()).await?;
        let initialized = self.shared.with(|pool| {
            let line = pool.instance_mut(id)?.connection.initialized(worker);
            pool.send_notification(id, line, Kind::Notification)
        });
        initialized.ok_or_else(broken_off)?;
        let listed = self.ask(id, |instance| instance.connection.list()).await?;
        let unlisted = || HandshakeError::Protocol("it answered `components/list` without `components`".to_owned());
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
        request: impl FnOnce(&mut Instance) -> (NumberedRequest, HandshakeReceiver),
    ) -> Result<Handshake, HandshakeError> {
        let answer = self.shared.with(|pool| pool.send_request(id, request));
        answer.ok_or_else(broken_off)?.await.map_err(|_| broken_off())?
    }

    /// The port on which a process says that it serves HTTP.
    pub(crate) async fn port(&self, id: InstanceId) -> Result<u16, HandshakeError> {
        let named = self.shared.with(|pool| Some(pool.instance_mut(id)?.connection.await_port()));
        match named.ok_or_else(broken_off)?.await {
            Ok(Err(HandshakeError::Port(port))) => Ok(port),
            Ok(Err(refusal)) => Err(refusal),
            Ok(Ok(_)) | Err(_) => Err(broken_off()),
        }
    }
}

fn broken_off() -> HandshakeError {
    HandshakeError::Protocol("the conversation was broken off".to_owned())
}

/// Waits until the host is to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the host was dropped, which is the same.
    let _ = stop.wait_for(|stop| *stop).await;
}
