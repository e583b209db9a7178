//! Carrying out what is owed: offers, wake-ups, cancellations.

use stepflow_protocol::RunId;

use super::timers::{Timer, until};
use super::{Command, Driver};
use crate::event::{Route, StepRef, TaskRef, ValueRef};
use crate::machine::{Effect, owed_between};
use crate::ports::{Answer, TaskEnvelope};

impl Driver {
    /// Carries out what has become owed and durable since the last time.
    pub(super) fn carry_out(&mut self, root: RunId) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let owed: Vec<Effect> = owed_between(tree.machine.state(), tree.carried, tree.durable).cloned().collect();
        tree.carried = tree.durable;
        for effect in owed {
            self.carry(root, effect);
        }
    }

    /// Offers what waited for values.
    pub(super) fn offer_held(&mut self, root: RunId) {
        let held = self.trees.get_mut(&root).map(|tree| std::mem::take(&mut tree.held)).unwrap_or_default();
        for effect in held {
            self.carry(root, effect);
        }
    }

    fn carry(&mut self, root: RunId, effect: Effect) {
        match effect {
            Effect::Offer { task, step, route, input } => self.offer(root, task, step, route, input),
            Effect::Wake { step, due_at } => {
                let wait = until(due_at, self.ports.clock.now());
                self.timers.arm(wait, Timer::Step(root, step));
            }
            Effect::Deadline { run, due_at } => {
                let wait = until(due_at, self.ports.clock.now());
                self.timers.arm(wait, Timer::Run(root, run));
            }
            Effect::Cancel { task, route } if self.offered.contains_key(&task) => {
                self.ports.host.cancel(&route, task, "the answer is not needed any more");
            }
            // Never offered: nobody else will answer.
            Effect::Cancel { task, .. } => {
                self.offered.insert(task, (root, None));
                let _ = self.commands.send(Command::Answer(task, Answer::Cancelled));
            }
        }
    }

    fn offer(&mut self, root: RunId, task: TaskRef, step: StepRef, route: Route, input: ValueRef) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let Some(value) = tree.machine.values().get(&input) else {
            tree.held.push(Effect::Offer { task, step, route, input: input.clone() });
            return self.load(root, vec![input]);
        };
        let Some(plan) = tree.plan_of(step.run) else { return };
        let Some(planned) = plan.steps.get(step.step as usize) else { return };
        let state = tree.machine.state();
        let envelope = TaskEnvelope {
            task,
            root_run_id: root,
            run_id: step.run,
            above: state.tasks_above(step.run),
            flow_id: plan.flow_id,
            item: step.item,
            step: step.step,
            step_id: planned.id.clone(),
            epoch: state.epoch,
            route,
            input: value,
            timeout: planned.timeout.or(self.step_timeout),
            deadline: state.runs.get(&step.run).and_then(|run| run.deadline_at),
            traceparent: None,
            suspects: state.step(step).map_or(0, |step| step.suspects),
        };
        self.offered.insert(task, (root, None));
        self.ports.host.offer(envelope);
    }
}
