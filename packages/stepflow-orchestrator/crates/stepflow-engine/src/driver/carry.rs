//! Carrying out effects: offers, wake-ups, cancellations.

use std::collections::HashSet;

use futures_util::FutureExt as _;
use stepflow_protocol::RunId;

use super::offered::Offered;
use super::timers::{Timer, until};
use super::tree::Kept;
use super::{Driver, MARK_AFTER};
use crate::command::Command;
use crate::event::{Reason, Route, StepRef, TaskRef, ValueRef};
use crate::machine::{Effect, Need, outstanding, owed_between};
use crate::ports::{Address, Answer, TaskEnvelope};

impl Driver {
    /// Carries out the effects that have become durable since the last time.
    pub(super) fn carry_out(&mut self, root: RunId) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let Some(machine) = &tree.machine else { return };
        let has_run =
            |seq: &u64, effect: &Effect| matches!(effect, Effect::Offer { .. }) && tree.ahead.contains_key(seq);
        let owed = owed_between(machine.state(), tree.carried, tree.durable);
        let owed: Vec<(u64, Effect)> = owed.filter(|(seq, effect)| !has_run(seq, effect)).collect();
        tree.carried = tree.durable;
        tree.ahead = tree.ahead.split_off(&(tree.durable + 1));
        for (seq, effect) in owed {
            self.carry(root, seq, effect);
        }
    }

    /// Cancels attempts that hosts have and that the journal does not know.
    pub(super) fn withdraw_unknown(&mut self, root: RunId) {
        let Some(machine) = self.trees.get(&root).and_then(|tree| tree.machine.as_ref()) else { return };
        let known = |task: &TaskRef| machine.state().tasks.contains_key(&task.task_id);
        let unknown: Vec<TaskRef> = self.offered.of(root).map(|(task, _)| task).filter(|task| !known(task)).collect();
        for task in unknown {
            self.withdraw(root, task);
        }
    }

    /// Carries out all effects of a machine that was just made again, if they were durable when its journal was read.
    /// Effects that were carried out before are known to the driver, and not repeated.
    pub(super) fn carry_again(&mut self, root: RunId, durable: u64) {
        let Some(tree) = self.trees.get(&root) else { return };
        let Some(machine) = &tree.machine else { return };
        // The machine may have to wait for values before it takes an answer: until then the attempt is open.
        let answered: HashSet<TaskRef> = tree.kept.iter().filter_map(Kept::answers).collect();
        let over = |effect: &Effect| match effect {
            Effect::Offer { task, .. } | Effect::Cancel { task, .. } => answered.contains(task),
            Effect::Wake { .. } | Effect::Deadline { .. } => false,
        };
        let owed = outstanding(machine.state()).filter(|(seq, effect)| *seq <= durable && !over(effect));
        let owed: Vec<(u64, Effect)> = owed.collect();
        for (seq, effect) in owed {
            self.carry(root, seq, effect);
        }
    }

    /// Carries out what waited for values and flows.
    pub(super) fn carry_held(&mut self, root: RunId) {
        let held = self.trees.get_mut(&root).map(|tree| std::mem::take(&mut tree.held)).unwrap_or_default();
        for effect in held {
            self.carry(root, 0, effect);
        }
    }

    pub(super) fn carry(&mut self, root: RunId, seq: u64, effect: Effect) {
        self.at_work_on = Some(root);
        match effect {
            // The next owner offers it.
            Effect::Offer { .. } if self.is_draining => {}
            Effect::Offer { task, .. } if self.offered.contains(root, task) => {}
            Effect::Offer { task, step, route, input, reason } => self.offer(root, task, step, route, input, reason),
            Effect::Wake { due_at, .. } | Effect::Deadline { due_at, .. } => {
                let wait = until(due_at, self.ports.clock.now());
                let Some(tree) = self.trees.get_mut(&root) else { return };
                let clock = &*self.ports.clock;
                tree.timers.entry(seq).or_insert_with(|| self.timers.arm(clock, wait, Timer::Wake(root, seq)));
            }
            Effect::Cancel { task, route } => match self.offered.get_mut(root, task) {
                Some(offered) if offered.cancelled => {}
                Some(offered) => {
                    offered.cancelled = true;
                    let address = Address { root, epoch: self.ownership.epoch(root), task };
                    self.ports.host.cancel(&route, address, "the answer is not needed any more");
                }
                // It was never offered, so no host will answer.
                None => {
                    let address = Address { root, epoch: self.ownership.epoch(root), task };
                    self.offered.insert(root, task, Offered { cancelled: true, ..Offered::default() });
                    let _ = self.commands.send(Command::Answer(address, Answer::Cancelled));
                }
            },
        }
    }

    /// Hands an attempt to its host when everything that it needs is in memory.
    fn offer(&mut self, root: RunId, task: TaskRef, step: StepRef, route: Route, input: ValueRef, reason: Reason) {
        let epoch = self.ownership.epoch(root);
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let Some(machine) = &tree.machine else { return };
        let state = machine.state();
        // It may have been cancelled while it waited for its input.
        if state.step_of(task).is_none() {
            return;
        }
        let Some(run) = state.runs.get(&step.run) else { return };
        let value = match &input {
            ValueRef::Inline(value) => Some(value.clone()),
            place => tree.at_hand.get(place).or_else(|| self.values.get(root, place)),
        };
        let plan = self.plans.get(run.flow_id, run.overrides.as_ref());
        let (Some(value), Some(plan)) = (&value, &plan) else {
            let mut needs = Vec::new();
            needs.extend(value.is_none().then(|| Need::Value(input.clone())));
            needs.extend(plan.is_none().then_some(Need::Flow(run.flow_id)));
            tree.held.push(Effect::Offer { task, step, route, input, reason });
            return self.need(root, needs);
        };
        let Some(planned) = plan.steps.get(step.step as usize) else { return };
        let envelope = TaskEnvelope {
            task,
            root_run_id: root,
            run_id: step.run,
            above: state.tasks_above(step.run),
            flow_id: plan.flow_id,
            item: step.item,
            step: step.step,
            step_id: planned.id.clone(),
            epoch,
            route,
            input: value.clone(),
            timeout: planned.timeout.or(self.step_timeout),
            deadline: run.deadline_at,
            traceparent: None,
            suspects: state.step(step).map_or(0, |step| step.suspects),
            recovers: reason == Reason::Recovery,
        };
        let route = Some(envelope.route.clone());
        // First, because a host that panics does not have it.
        self.ports.host.offer(envelope);
        self.offered.insert(root, task, Offered { route, ..Offered::default() });
    }

    /// A worker is to have an attempt of a recovery, which is marked before.
    pub(super) fn starting(&mut self, address: Address, hold: u64) {
        let Address { root, task, .. } = address;
        let Some(offered) = self.offered.get_mut(root, task).filter(|offered| !offered.cancelled) else { return };
        offered.hold = Some(hold);
        let mut marked = self.ports.journal.mark(root, self.ownership.epoch(root), vec![task]);
        match (&mut marked).now_or_never() {
            Some(stored) => self.marked(root, task, hold, stored.is_ok()),
            None => {
                let commands = self.commands.clone();
                self.tasks.spawn(async move {
                    let _ = commands.send(Command::Marked(root, task, hold, marked.await.is_ok()));
                });
            }
        }
    }

    /// The attempt is marked: its worker may have it now, unless it has lost its slot since. If the store has refused the
    /// mark, it is asked again.
    pub(super) fn marked(&mut self, root: RunId, task: TaskRef, hold: u64, is_stored: bool) {
        if !is_stored {
            if let Some(offered) = self.offered.get_mut(root, task).filter(|offered| offered.hold == Some(hold)) {
                offered.mark = Some(self.timers.arm(&*self.ports.clock, MARK_AFTER, Timer::Mark(root, task)));
            }
            return;
        }
        if let Some(tree) = self.trees.get_mut(&root) {
            tree.marked.insert(task);
        }
        match self.offered.get_mut(root, task) {
            Some(offered) if offered.hold == Some(hold) && !offered.cancelled => {
                offered.hold = None;
                if let Some(route) = &offered.route {
                    let address = Address { root, epoch: self.ownership.epoch(root), task };
                    self.ports.host.proceed(route, address, hold);
                }
            }
            // It has got another slot, and waits for that mark.
            Some(offered) if offered.hold.is_some() => {}
            _ => self.unmark(root, task),
        }
    }

    /// A worker has had the attempt for a while: if the server crashes now, it may be the reason. Or a worker is to have
    /// it, and the store has refused the mark before.
    pub(super) fn mark_if_at_work(&mut self, root: RunId, task: TaskRef) {
        let Some(offered) = self.offered.get_mut(root, task) else { return };
        offered.mark = None;
        if let Some(hold) = offered.hold {
            return self.starting(Address { root, epoch: self.ownership.epoch(root), task }, hold);
        }
        let has_worker = offered.has_worker();
        if self.trees.get(&root).is_some_and(|tree| has_worker && !tree.waiting.contains_key(&task)) {
            self.mark(root, task);
        }
    }

    pub(super) fn mark(&mut self, root: RunId, task: TaskRef) {
        if let Some(tree) = self.trees.get_mut(&root)
            && tree.marked.insert(task)
        {
            let marked = self.ports.journal.mark(root, self.ownership.epoch(root), vec![task]);
            self.tasks.spawn(marked.map(drop));
        }
    }

    pub(super) fn unmark(&mut self, root: RunId, task: TaskRef) {
        if let Some(tree) = self.trees.get_mut(&root)
            && tree.marked.remove(&task)
        {
            let unmarked = self.ports.journal.unmark(root, self.ownership.epoch(root), vec![task]);
            self.tasks.spawn(unmarked.map(drop));
        }
    }

    /// Tells the host that the answer of an attempt which no journal knows is not needed.
    pub(super) fn withdraw(&mut self, root: RunId, task: TaskRef) {
        if let Some(offered) = self.offered.get_mut(root, task).filter(|offered| !offered.cancelled) {
            offered.cancelled = true;
            if let Some(route) = &offered.route {
                let address = Address { root, epoch: self.ownership.epoch(root), task };
                self.ports.host.cancel(route, address, "the run does not know the attempt");
            }
        }
    }
}
