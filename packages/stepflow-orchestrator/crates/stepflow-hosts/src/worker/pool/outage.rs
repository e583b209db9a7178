//! When no worker is up: which tasks wait, and which fail.

use std::time::Duration;

use stepflow_engine::ports::Answer;
use stepflow_protocol::FlowError;

use super::state::{PoolState, Refusal};
use super::{Instance, InstanceId, Loss, Notice, Pool, shut_down};
use crate::worker::connection::Connection;
use crate::worker::options::RestartPolicy;
use crate::worker::status::Health;
use crate::worker::wire::{Kind, Outgoing};

impl Pool {
    /// The start in this slot failed. A task fails when that is true of all workers that serve it, even if it waits; but
    /// one that was open when the server ended before does so only if each slot is given up for it, too (`of_all`).
    pub(crate) fn start_failed(&mut self, slot: usize, slots: usize, error: FlowError, of_all: bool) {
        let failed = self.served.failed(slot, Refusal { error: error.clone(), of_all });
        let of_all = self.served.all_given_up();
        if failed >= slots && self.refuse(Refusal { error, of_all }) {
            return;
        }
        let (served, mut kept) = (&self.served, Vec::new());
        while let Some((lane, task)) = self.waiting.pop(|lane| served.is_failed(lane)) {
            match served.refusal(lane, &task) {
                Some(error) => self.notices.push(Notice::Answer(task.address(), Answer::Failed(error.clone().into()))),
                None => kept.push((lane, task)),
            }
        }
        kept.into_iter().for_each(|(lane, task)| self.waiting.push(task, lane));
    }

    /// No worker is up in this moment, and tasks wait for one.
    pub(crate) fn await_worker(&mut self, error: FlowError) {
        let is_up = self.instances.iter().any(Instance::is_open);
        if !is_up && matches!(self.state, PoolState::Open | PoolState::Awaiting(_)) {
            self.state = PoolState::Awaiting(error);
        }
    }

    /// An instance has crashed, or its successor has not started. Returns how long its slot stays empty. Crashes for
    /// which no attempt is to blame are counted: after some of them without an answer, tasks fail.
    pub(crate) fn crashed(
        &mut self,
        id: Option<InstanceId>,
        loss: &Loss,
        policy: &RestartPolicy,
        refusal: impl FnOnce(u32) -> FlowError,
    ) -> Duration {
        match id.map_or(0, |id| self.remove_instance(id, loss)) {
            0 => self.crashes += 1,
            1 => return Duration::ZERO,
            // If there are several suspects, the one to blame will be found later.
            _ => return policy.delay(1),
        }
        if self.crashes >= policy.crashes && self.refuse(Refusal { error: refusal(self.crashes), of_all: true }) {
            return policy.pause;
        }
        policy.delay(self.crashes)
    }

    /// No task goes out any more; those that wait are given back.
    pub(crate) fn shut_down(&mut self) {
        self.state = PoolState::ShutDown;
        for task in self.waiting.drain() {
            self.notices.push(Notice::Answer(task.address(), Answer::Lost(shut_down())));
        }
        let connections = self.instances.iter_mut().map(|instance| &mut instance.connection);
        let held: Vec<_> = connections.flat_map(Connection::withdraw_all_held).collect();
        held.into_iter().for_each(|open| self.requeue(open));
        self.instances.iter_mut().for_each(Instance::close);
    }

    /// The same for workers that live longer than the server: they are asked to end what they have. A next attempt may
    /// begin as soon as the next server is up.
    pub(crate) fn leave_peers(&mut self) {
        for instance in &mut self.instances {
            for line in instance.connection.interrupt("the server stops") {
                instance.send(Outgoing { line, kind: Kind::Notification }, &mut self.notices);
            }
            instance.leave();
        }
        self.shut_down();
    }

    /// Whether tasks are taken.
    pub(crate) fn health(&self) -> Health {
        match &self.state {
            PoolState::Open if self.instances.iter().any(Instance::is_open) => Health::Ready,
            PoolState::Open => Health::Starting,
            PoolState::Awaiting(error) => Health::Awaited(error.message.clone()),
            PoolState::Refusing(refusal) => Health::Down(refusal.error.message.clone()),
            PoolState::ShutDown => Health::ShutDown,
        }
    }

    /// The error with which tasks fail at once, if they do.
    pub(crate) fn refusal(&self) -> Option<&FlowError> {
        match &self.state {
            PoolState::Refusing(refusal) => Some(&refusal.error),
            PoolState::Open | PoolState::Awaiting(_) | PoolState::ShutDown => None,
        }
    }

    /// From now on tasks fail, also those that wait. Does nothing while an instance takes tasks.
    fn refuse(&mut self, refusal: Refusal) -> bool {
        if self.state.is_shut_down() || self.instances.iter().any(Instance::is_open) {
            return false;
        }
        let (refused, kept): (Vec<_>, Vec<_>) =
            self.waiting.drain().into_iter().partition(|task| refusal.applies_to(task));
        for task in refused {
            self.notices.push(Notice::Answer(task.address(), Answer::Failed(refusal.error.clone().into())));
        }
        self.state = PoolState::Refusing(refusal);
        kept.into_iter().for_each(|task| self.place(task));
        true
    }

    /// A worker takes tasks, so nothing is refused any more.
    pub(super) fn reopen(&mut self) {
        if matches!(self.state, PoolState::Awaiting(_) | PoolState::Refusing(_)) {
            self.state = PoolState::Open;
        }
    }
}
