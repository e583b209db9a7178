//! The workers of one plugin: the tasks that wait, the instances that take them, and what the engine must be told.
//! Knows no transport: instances send through a `Wire`, and their messages enter by `take_answer`. After every change,
//! under the one lock of `Shared`, all tasks that can go out do. Each offer gets one answer.

mod held;
mod instance;
mod loss;
mod outage;
mod served;
mod shared;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{Address, Answer, Lost, TaskEnvelope};

pub(crate) use instance::{ConnectionFailure, Instance, InstanceId, Signals};
pub(crate) use loss::{Loss, shut_down, with_stderr};
use served::{ServedBySlot, awaited_task, lane_of, most_free, reserved_for_suspects};
pub(crate) use shared::{Notice, Shared};
use state::PoolState;

use super::connection::{HandshakeError, NumberedRequest, OpenExecute};
use super::execute::Verdict;
use super::message::Body;
use super::status::InstanceState;
use super::stderr_tail::StderrTail;
use super::wire::{Kind, Outgoing, Wire};
use crate::components::Components;
use crate::fair::{FairQueue, Lane};

/// The instances of a plugin, and the tasks that wait for them.
#[derive(Default)]
pub(crate) struct Pool {
    waiting: FairQueue,
    instances: Vec<Instance>,
    entered: u64,
    /// How often a task was held back.
    holds: u64,
    /// The components that some instance limits, with their numbers from 1.
    bounded: HashMap<String, u32>,
    state: PoolState,
    served: ServedBySlot,
    pub(crate) stderr_tail: StderrTail,
    /// The crashes since the last answer to an execute for which no attempt is to blame.
    crashes: u32,
    notices: Vec<Notice>,
    is_notifying: bool,
}

impl Pool {
    /// Takes a task.
    pub(crate) fn offer(&mut self, task: TaskEnvelope) {
        let answer = match &self.state {
            PoolState::Refusing(refusal) if refusal.applies_to(&task) => Answer::Failed(refusal.error.clone().into()),
            PoolState::Open | PoolState::Awaiting(_) | PoolState::Refusing(_) => return self.place(task),
            PoolState::ShutDown => Answer::Lost(shut_down()),
        };
        self.notices.push(Notice::Answer(task.address(), answer));
    }

    /// Removes a task that waits; asks the worker to end one that runs.
    pub(crate) fn cancel(&mut self, task: TaskRef, reason: &str) {
        if let Some(task) = self.waiting.remove(task) {
            return self.notices.push(Notice::Answer(task.address(), Answer::Cancelled));
        }
        if self.cancel_held(task) {
            return;
        }
        let asked = self.instances.iter_mut().find_map(|at| Some((at.connection.cancel(task, reason)?, at)));
        if let Some((line, instance)) = asked {
            if let Some(line) = line {
                instance.send(Outgoing { line, kind: Kind::Notification }, &mut self.notices);
            }
            instance.signals.attention.notify_one();
        }
    }

    /// Adds a worker that has not shaken hands yet.
    pub(crate) fn add_instance(&mut self, name: String, address: String, wire: Wire) -> &Instance {
        self.entered += 1;
        let id = InstanceId(self.entered);
        let at = self.instances.len();
        self.instances.push(Instance::new(id, name, address, wire));
        &self.instances[at]
    }

    /// The instance, unless it is gone.
    pub(crate) fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    /// All instances.
    pub(crate) fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The instance, unless it is gone.
    pub(crate) fn instance_mut(&mut self, id: InstanceId) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| instance.id == id)
    }

    /// Sends a handshake request to an instance. `None` when it is gone.
    pub(crate) fn send_request<R>(
        &mut self,
        id: InstanceId,
        ask: impl FnOnce(&mut Instance) -> (NumberedRequest, R),
    ) -> Option<R> {
        let instance = self.instances.iter_mut().find(|instance| instance.id == id)?;
        let (asked, answer) = ask(instance);
        instance.send(Outgoing { line: asked.line, kind: Kind::Call(asked.id) }, &mut self.notices);
        Some(answer)
    }

    /// Sends an instance a message that has no answer. `None` when it is gone.
    pub(crate) fn send_notification(&mut self, id: InstanceId, line: Vec<u8>, kind: Kind) -> Option<()> {
        let instance = self.instances.iter_mut().find(|instance| instance.id == id)?;
        instance.send(Outgoing { line, kind }, &mut self.notices);
        Some(())
    }

    /// The instance in this slot has answered the handshake: it gets tasks from now on.
    pub(crate) fn ready(&mut self, id: InstanceId, slot: usize, components: Arc<Components>, cap: Option<usize>) {
        self.reopen();
        let mut changed = self.served.update(slot, Arc::clone(&components));
        let Some(instance) = self.instances.iter_mut().find(|instance| instance.id == id) else { return };
        (instance.slot, instance.components) = (slot, Some(components));
        instance.capacity = instance.connection.capacity(cap);
        instance.state = InstanceState::Ready;
        let version = instance.connection.capabilities().and_then(|worker| worker.version.clone());
        instance.about = Arc::new(stepflow_engine::event::Instance { name: instance.about.name.clone(), version });
        let bounds = instance.announced_bounds();
        let known = self.bounded.len();
        for (component, most) in bounds {
            let new = u32::try_from(self.bounded.len()).map_or(u32::MAX, |known| known + 1);
            instance.bounds.insert(*self.bounded.entry(component).or_insert(new), most);
        }
        changed |= self.bounded.len() > known;
        if changed {
            let (bounded, served) = (&self.bounded, &mut self.served);
            self.waiting.sort(|task| lane_of(task, bounded, served));
        }
    }

    /// Takes an answer of an instance. `true` when the instance is full: the caller has to call `retry` after a while.
    pub(crate) fn take_answer(&mut self, id: InstanceId, request: i64, body: Body) -> bool {
        let Some(instance) = self.instances.iter_mut().find(|instance| instance.id == id) else { return false };
        match instance.connection.take_answer(request, body) {
            None => {}
            Some((open, Verdict::Ended(answer))) => {
                instance.answered += 1;
                instance.closed();
                self.crashes = 0;
                let components = instance.components.clone();
                self.reopen();
                self.answer(open, answer, components);
            }
            Some((open, Verdict::NotAccepted)) => {
                instance.leave();
                self.not_accepted(id, open);
            }
            Some((open, Verdict::AtCapacity)) => {
                instance.closed();
                instance.is_full = true;
                self.requeue(open);
                return true;
            }
        }
        false
    }

    /// Tries an instance again that was full.
    pub(crate) fn retry(&mut self, id: InstanceId) {
        if let Some(instance) = self.instance_mut(id) {
            instance.is_full = false;
        }
    }

    /// An execute never reached its worker. The worker gets no more until its next handshake.
    pub(crate) fn unreached(&mut self, id: InstanceId, request: i64) {
        self.leave(id);
        if let Some(open) = self.instance_mut(id).and_then(|instance| instance.connection.withdraw(request)) {
            self.not_accepted(id, open);
        }
    }

    /// The instance gets no more tasks.
    pub(crate) fn leave(&mut self, id: InstanceId) {
        if let Some(instance) = self.instance_mut(id) {
            instance.leave();
        }
    }

    /// Ends the handshake of an instance without its answer. `false` when there is no open handshake request.
    pub(crate) fn fail_handshake(&mut self, id: InstanceId, error: HandshakeError) -> bool {
        self.instance_mut(id).is_some_and(|instance| instance.connection.fail_handshake(error))
    }

    /// From now on, messages to an instance go over HTTP, to its port.
    pub(crate) fn switch_to_http(&mut self, id: InstanceId, wire: Wire, port: u16) {
        if let Some(instance) = self.instance_mut(id) {
            instance.switch_to_http(wire, port);
        }
    }

    /// An execute was lost on its way to the worker or back; nothing else was lost with it.
    pub(crate) fn lose_execute(&mut self, id: InstanceId, request: i64, lost: Lost) {
        let Some(instance) = self.instance_mut(id) else { return };
        if let Some(open) = instance.connection.withdraw(request) {
            instance.closed();
            let answer = if open.cancelled.is_some() { Answer::Cancelled } else { Answer::Lost(lost) };
            self.notices.push(Notice::Answer(open.task.address(), answer));
        }
    }

    /// An instance is gone, and all its attempts with it. Returns how many of them may be the reason.
    pub(crate) fn remove_instance(&mut self, id: InstanceId, loss: &Loss) -> usize {
        let Some(at) = self.instances.iter().position(|instance| instance.id == id) else { return 0 };
        let mut instance = self.instances.swap_remove(at);
        // What was held back goes to another instance: this one never had it.
        let (held, open): (Vec<_>, Vec<_>) = instance.connection.abandon().into_iter().partition(OpenExecute::is_held);
        let (suspects, answers) = (loss::count_suspects(&open), loss::answers(&open, loss, instance.given));
        let notices = open.iter().zip(answers).map(|(open, answer)| Notice::Answer(open.task.address(), answer));
        self.notices.extend(notices);
        instance.signals.room.notify_waiters();
        held.into_iter().for_each(|open| self.requeue(open));
        suspects
    }

    /// Where words about this attempt go, if a worker has it.
    pub(crate) fn address(&self, task: TaskRef) -> Option<Address> {
        let mut open = self.instances.iter().flat_map(|instance| instance.connection.open());
        open.find(|open| open.task.task == task).map(|open| open.task.address())
    }

    /// An execute of an instance waits for a run, or for one more, which may need its slot.
    pub(crate) fn park(&mut self, id: InstanceId, task: TaskRef) -> bool {
        self.instance_mut(id).is_some_and(|instance| instance.connection.park(task))
    }

    /// It waits for one run less. The execute goes on even when its slot is taken: more executes are open then than the
    /// worker announced, but nothing waits for ever.
    pub(crate) fn unpark(&mut self, id: InstanceId, task: TaskRef) -> bool {
        self.instance_mut(id).is_some_and(|instance| instance.connection.unpark(task))
    }

    /// What the plugin serves; `None` until a worker has said so.
    pub(crate) fn components(&self) -> Option<&Arc<Components>> {
        self.served.all()
    }

    fn not_accepted(&mut self, id: InstanceId, open: OpenExecute) {
        if let Some(instance) = self.instance_mut(id) {
            instance.closed();
        }
        self.requeue(open);
    }

    /// Puts a task back that its worker has not begun.
    fn requeue(&mut self, open: OpenExecute) {
        if open.cancelled.is_some() {
            self.notices.push(Notice::Answer(open.task.address(), Answer::Cancelled));
        } else {
            self.notices.push(Notice::Waits(open.task.address()));
            self.offer(open.task);
        }
    }

    fn answer(&mut self, open: OpenExecute, answer: Answer, components: Option<Arc<Components>>) {
        let task = open.task;
        self.notices.push(match (answer, components) {
            (Answer::Success(output), Some(components)) if components.validates_outputs() => {
                Notice::Output(task.address(), task.route, output, components)
            }
            // A component may fail because its worker is being ended.
            (Answer::Failed(_) | Answer::Cancelled, _) if self.state.is_shut_down() => {
                Notice::Answer(task.address(), Answer::Lost(shut_down()))
            }
            (answer, _) => Notice::Answer(task.address(), answer),
        });
    }

    /// Gives the task to an instance, or lets it wait.
    fn place(&mut self, task: TaskEnvelope) {
        let lane = lane_of(&task, &self.bounded, &mut self.served);
        if let Some(error) = self.served.refusal(lane, &task).cloned() {
            return self.notices.push(Notice::Answer(task.address(), Answer::Failed(error.into())));
        }
        match self.waiting.is_empty().then(|| most_free(&self.instances, &self.served, lane, None)).flatten() {
            Some(at) => self.give(at, task, lane),
            None => self.waiting.push(task, lane),
        }
    }

    /// Sends what could not be sent before, then gives out tasks while there are slots.
    fn dispatch(&mut self) {
        for instance in &mut self.instances {
            instance.flush(&mut self.notices);
        }
        while let Some((at, lane, task)) = self.next() {
            self.give(at, task, lane);
        }
    }

    /// The next task that can go out, with its instance.
    fn next(&mut self) -> Option<(usize, Lane, TaskEnvelope)> {
        if self.waiting.is_empty() {
            return None;
        }
        let (instances, served) = (&self.instances, &self.served);
        let reserved = reserved_for_suspects(instances, served, &self.waiting);
        let room = |lane| most_free(instances, served, lane, reserved);
        if let Some((lane, task)) = self.waiting.pop(|lane| room(lane).is_some()) {
            return Some((room(lane)?, lane, task));
        }
        let (at, lane, task) = awaited_task(instances, served, &self.waiting, reserved)?;
        Some((at, lane, self.waiting.remove(task)?))
    }
}
