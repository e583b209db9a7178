//! Messages of hosts about attempts.

use std::sync::Arc;

use stepflow_protocol::RunId;

use super::timers::Timer;
use super::{Driver, MARK_AFTER};
use crate::command::Command;
use crate::event::{Instance, TaskRef};
use crate::machine::Input;
use crate::notice::Notice;
use crate::ports::{Address, Answer};

impl Driver {
    /// A worker has the attempt: its time runs.
    pub(super) fn started(&mut self, address: Address, instance: Option<Arc<Instance>>) {
        let Address { root, task, .. } = address;
        let Some(offered) = self.offered.get_mut(root, task) else { return };
        let Some(state) = self.trees.get(&root).and_then(|tree| tree.machine.as_ref()).map(|machine| machine.state())
        else {
            return;
        };
        let Some(step) = state.tasks.get(&task.task_id).copied() else { return };
        let run = state.runs.get(&step.run);
        let plan = run.and_then(|run| self.plans.get(run.flow_id, run.overrides.as_ref()));
        let timeout = plan.and_then(|plan| plan.steps.get(step.step as usize)?.timeout).or(self.step_timeout);
        let clock = &*self.ports.clock;
        for timer in offered.timeout.take().into_iter().chain(offered.mark.take()) {
            self.timers.disarm(timer);
        }
        offered.timeout = timeout.map(|timeout| self.timers.arm(clock, timeout, Timer::Attempt(root, task)));
        // A component in this process needs no mark: it has no worker that could crash the server.
        let is_at_worker = instance.is_some();
        offered.mark = is_at_worker.then(|| self.timers.arm(clock, MARK_AFTER, Timer::Mark(root, task)));
        let ahead = offered.ahead;
        if let Some(notice) = self.held_back(root, ahead, Notice::Started { step, task, instance }) {
            self.waiters.publish(root, &notice);
            if let Some(offered) = self.offered.get_mut(root, task) {
                offered.started = Some(notice);
            }
        }
    }

    /// No worker has the attempt any more, and it has not ended: its time is stopped.
    pub(super) fn waits(&mut self, address: Address) {
        let Some(offered) = self.offered.get_mut(address.root, address.task) else { return };
        (offered.started, offered.hold) = (None, None);
        for timer in offered.timeout.take().into_iter().chain(offered.mark.take()) {
            self.timers.disarm(timer);
        }
        self.unmark(address.root, address.task);
    }

    /// The attempt has ended.
    pub(super) fn answered(&mut self, address: Address, answer: Answer) {
        let Address { root, task, .. } = address;
        let instance = match self.offered.contains(root, task) {
            true => self.forget_offered(root, task),
            // A success of an attempt that was given up is a success all the same. Anything else has been dealt with.
            false if !matches!(answer, Answer::Success(_)) => return,
            false => None,
        };
        match self.trees.get_mut(&root) {
            Some(tree) => {
                tree.calls.remove(&task);
                tree.waiting.remove(&task);
                tree.returning.retain(|(returning, _)| *returning != task);
                self.feed(root, Input::Answered(task, answer, instance));
            }
            None if matches!(answer, Answer::Success(_)) => {
                self.find(root, Command::Answer(address, answer));
            }
            None => {}
        }
        self.tell_drained();
    }

    /// Forgets an attempt that no host has any more; the worker that had it.
    pub(super) fn forget_offered(&mut self, root: RunId, task: TaskRef) -> Option<Arc<Instance>> {
        let offered = self.offered.remove(root, task)?;
        for timer in offered.timeout.into_iter().chain(offered.mark) {
            self.timers.disarm(timer);
        }
        offered.started.and_then(Notice::into_instance)
    }

    /// The attempt has taken longer than it may.
    pub(super) fn timed_out(&mut self, root: RunId, task: TaskRef) {
        let started = self.offered.get(root, task).and_then(|offered| offered.started.clone());
        self.feed(root, Input::TimedOut(task, started.and_then(Notice::into_instance)));
    }
}
