//! One worker of a plugin, as the pool sees it: what was sent to it and what it can take.

use std::collections::HashMap;
use std::sync::Arc;

use stepflow_engine::event::Instance as About;
use stepflow_engine::ports::{Address, TaskEnvelope};
use stepflow_protocol::ComponentCapabilities;
use tokio::sync::{Notify, watch};

use super::Notice;
use crate::components::Components;
use crate::fair::Lane;
use crate::worker::connection::{Connection, NumberedRequest};
use crate::worker::status::InstanceState;
use crate::worker::wire::{Kind, Outgoing, Wire};

/// The id of an instance, unique in its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InstanceId(pub(super) u64);

/// A worker with its conversation.
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    /// What `started` tells the engine about it.
    pub(crate) about: Arc<About>,
    /// The process id, or the address.
    pub(crate) address: String,
    pub(crate) connection: Connection,
    pub(crate) state: InstanceState,
    pub(crate) capacity: usize,
    pub(super) slot: usize,
    /// What it serves; set by the handshake.
    pub(super) components: Option<Arc<Components>>,
    /// The components whose executes it limits.
    pub(super) bounds: HashMap<u32, usize>,
    wire: Wire,
    pub(crate) signals: Signals,
    /// It said that it is full, although we count free slots: other servers use it too.
    pub(super) is_full: bool,
    /// How many executes it was given.
    pub(crate) given: u64,
    /// How many executes it has answered.
    pub(crate) answered: u64,
}

/// Wakes the tasks around an instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    /// The pipe did not take everything.
    pub(crate) unwritten: Arc<Notify>,
    /// There may be room again for answers to the worker.
    pub(crate) room: Arc<Notify>,
    /// Check whether the instance must be replaced: an execute was cancelled or not accepted, or one was answered by an
    /// instance that gets no more tasks.
    pub(crate) attention: Arc<Notify>,
    /// Why no message can be sent to the worker or received from it any more.
    pub(crate) failure: watch::Sender<Option<ConnectionFailure>>,
}

/// Why a connection broke.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionFailure {
    pub(crate) why: String,
    /// Whether it says more than the exit status of the process.
    pub(crate) is_informative: bool,
}

impl Instance {
    pub(super) fn new(id: InstanceId, name: String, address: String, wire: Wire) -> Self {
        Self {
            id,
            about: Arc::new(About { name, version: None }),
            address,
            connection: Connection::default(),
            state: InstanceState::Starting,
            capacity: 0,
            slot: 0,
            components: None,
            bounds: HashMap::new(),
            wire,
            signals: Signals::default(),
            is_full: false,
            given: 0,
            answered: 0,
        }
    }

    /// Whether a task of this lane can go out now.
    pub(super) fn takes(&self, lane: Lane) -> bool {
        self.is_free() && self.may_join(lane) && self.is_in_bounds(lane)
    }

    /// Whether a task can go out now that executes here may be waiting for. Those executes are not counted.
    pub(super) fn takes_below(&self, lane: Lane, task: &TaskEnvelope) -> bool {
        let others = || self.connection.at_work().filter(|open| !task.above.contains(&open.task.task.task_id));
        let limits = || others().map(|open| open.lane.max_suspects).filter(|most| *most > 0);
        let few = || limits().min().unwrap_or(u32::MAX).min(lane.max_suspects) as usize;
        let (busy, suspects) = (others().count(), limits().count());
        let may_join = if lane.max_suspects == 0 { suspects == 0 } else { busy == suspects && busy < few() };
        may_join && self.is_free() && self.is_in_bounds(lane)
    }

    fn is_in_bounds(&self, lane: Lane) -> bool {
        self.bounds.get(&lane.component).is_none_or(|most| self.connection.busy_at(lane.component) < *most)
    }

    /// Suspects of a crash share an instance only with each other, and only a few at once.
    fn may_join(&self, lane: Lane) -> bool {
        let (busy, suspects) = (self.connection.busy(), self.connection.suspects());
        let few = || lane.max_suspects.min(self.connection.max_suspects().unwrap_or(u32::MAX));
        if lane.max_suspects == 0 { suspects == 0 } else { busy == suspects && busy < few() as usize }
    }

    /// How many executes are running in it that are not suspects.
    pub(super) fn unsuspected(&self) -> usize {
        self.connection.busy() - self.connection.suspects()
    }

    /// Whether any task can go out now. Its line must be written at once: a task that is in a full pipe can no longer
    /// go elsewhere.
    fn is_free(&self) -> bool {
        self.is_open() && self.wire.is_idle() && self.free() > 0 && !self.is_full
    }

    /// Whether it gets tasks, as far as it has slots.
    pub(super) fn is_open(&self) -> bool {
        self.state == InstanceState::Ready
    }

    /// How many more executes it takes.
    pub(super) fn free(&self) -> usize {
        self.capacity.saturating_sub(self.connection.busy())
    }

    /// Gives it a task.
    pub(super) fn execute(&mut self, task: TaskEnvelope, lane: Lane, notices: &mut Vec<Notice>) {
        let address = task.address();
        let asked = self.connection.execute(task, lane);
        self.send_execute(asked, address, notices);
    }

    /// Sends it an execute.
    pub(super) fn send_execute(&mut self, asked: NumberedRequest, address: Address, notices: &mut Vec<Notice>) {
        self.given += 1;
        self.send(Outgoing { line: asked.line, kind: Kind::Execute(asked.id, address) }, notices);
    }

    /// Sends a message to the worker.
    pub(super) fn send(&mut self, message: Outgoing, notices: &mut Vec<Notice>) {
        let about = &self.about;
        let sent = self.wire.send(message, |kind| notices.extend(started(kind, about)));
        self.written(sent);
    }

    /// Sends what could not be sent before.
    pub(super) fn flush(&mut self, notices: &mut Vec<Notice>) {
        if !self.wire.is_idle() {
            let about = &self.about;
            let sent = self.wire.flush(|kind| notices.extend(started(kind, about)));
            self.written(sent);
        }
    }

    fn written(&mut self, sent: std::io::Result<()>) {
        match sent {
            Err(error) => self
                .fail(ConnectionFailure { why: format!("it does not read its stdin: {error}"), is_informative: false }),
            Ok(()) if !self.wire.is_idle() => self.signals.unwritten.notify_one(),
            Ok(()) => {}
        }
    }

    /// Whether each message goes to the worker by itself, over HTTP.
    pub(crate) fn takes_messages(&self) -> bool {
        matches!(self.wire, Wire::Messages(_))
    }

    /// Whether an answer to the worker can be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.wire.has_room()
    }

    /// An execute is no longer open.
    pub(super) fn closed(&mut self) {
        self.is_full = false;
        if self.state == InstanceState::Leaving {
            self.signals.attention.notify_one();
        }
    }

    /// It gets no more tasks: it is to be replaced.
    pub(super) fn leave(&mut self) {
        if matches!(self.state, InstanceState::Starting | InstanceState::Ready) {
            self.state = InstanceState::Leaving;
        }
        self.signals.attention.notify_one();
    }

    /// From now on, messages to the worker go over HTTP, to its port.
    pub(super) fn switch_to_http(&mut self, wire: Wire, port: u16) {
        self.wire = wire;
        self.address = format!("{}, port {port}", self.address);
    }

    /// Sends nothing more to the worker.
    pub(crate) fn close(&mut self) {
        self.wire.close();
    }

    /// The connection is broken; the first reason is kept.
    pub(crate) fn fail(&mut self, failure: ConnectionFailure) {
        self.state = InstanceState::Lost;
        self.wire.close();
        self.signals.failure.send_if_modified(|known| known.is_none() && known.replace(failure).is_none());
    }

    /// The components whose executes the worker limits, each with its limit.
    pub(super) fn announced_bounds(&self) -> Vec<(String, usize)> {
        let components = self.connection.capabilities().and_then(|worker| worker.components.as_ref());
        let bound = |(path, component): (&String, &ComponentCapabilities)| {
            Some((path.clone(), component.max_concurrency?.max(1) as usize))
        };
        components.into_iter().flatten().filter_map(bound).collect()
    }
}

fn started(kind: Kind, about: &Arc<About>) -> Option<Notice> {
    match kind {
        Kind::Execute(_, task) => Some(Notice::Started(task, Arc::clone(about))),
        Kind::Call(_) | Kind::Notification | Kind::Answer(_) => None,
    }
}
