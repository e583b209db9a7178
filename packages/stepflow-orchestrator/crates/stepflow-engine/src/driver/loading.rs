//! Loading trees, values and flows into memory, and removing them.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use stepflow_flow::Plan;
use stepflow_protocol::{FlowId, RunId, Value};

use super::Driver;
use super::timers::Timer;
use super::tree::{Kept, Tree};
use crate::command::Command;
use crate::event::{TaskRef, ValueRef};
use crate::machine::{Input, Need};
use crate::ports::StoreError;
use crate::reading::{Read, read};
use crate::submission::Error;

/// The first and the longest wait before a failed request to the store is repeated.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The wait before a request to the store is repeated that has failed so many times.
pub(super) fn patience(failures: u32) -> Duration {
    WAITS.0.saturating_mul(1 << failures.min(10)).min(WAITS.1)
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

impl Driver {
    /// The tree; it is read when it is not in memory, unless it was given up.
    pub(super) fn tree(&mut self, root: RunId) -> Option<&mut Tree> {
        if !self.trees.contains_key(&root) && !self.given_up.contains(root) {
            let incarnation = self.next_incarnation();
            self.trees.insert(root, Tree::new(incarnation));
            self.read(root, incarnation);
        }
        self.trees.get_mut(&root)
    }

    /// Starts to read the tree's journal.
    pub(super) fn read(&mut self, root: RunId, incarnation: u64) {
        let Some(tree) = self.trees.get(&root).filter(|tree| tree.incarnation == incarnation) else { return };
        let read = read(Arc::clone(&self.ports.journal), root, tree.durable);
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            // A journal that cannot be folded is one that cannot be read.
            let read = AssertUnwindSafe(read).catch_unwind().await.unwrap_or_else(|panic| {
                Err(StoreError::Damaged(format!("the journal cannot be folded, {}", said(&*panic))))
            });
            let _ = commands.send(Command::Read(root, incarnation, read));
        });
    }

    /// A tree's journal was read, or could not be.
    pub(super) fn tree_read(&mut self, root: RunId, incarnation: u64, read: Result<Box<Read>, StoreError>) {
        self.open_read(root);
        let Some(tree) = self.trees.get_mut(&root).filter(|tree| tree.incarnation == incarnation) else { return };
        self.at_work_on = Some(root);
        let Read { machine, news, inputs, epoch, marked } = *match read {
            Ok(read) if read.machine.state().seq > 0 => read,
            Ok(_) | Err(StoreError::NotFound { what: "run", .. }) => return self.let_go(root),
            Err(StoreError::Damaged(what)) => return self.give_up_damaged(root, &what),
            Err(error @ StoreError::NotFound { .. }) => return self.give_up(root, error.to_string()),
            Err(_) => {
                tree.failures += 1;
                let wait = patience(tree.failures);
                self.timers.arm(&*self.ports.clock, wait, Timer::Read(root, incarnation));
                return;
            }
        };
        tree.failures = 0;
        let durable = machine.state().seq;
        (tree.durable, tree.carried) = (durable, durable);
        // Repeated, these inputs could have an effect for the second time: a retry would begin too early.
        tree.forget_durable_inputs();
        tree.marked = marked;
        inputs.into_iter().for_each(|(place, value)| tree.at_hand.load(&place, Some(value)));
        let open = machine.state().runs.iter().filter(|(id, run)| **id != root && !run.status.is_terminal());
        self.roots.extend(open.map(|(id, _)| (*id, root)));
        let is_open = machine.state().open > 0;
        tree.machine = Some(machine);
        for record in news {
            self.tell_durable(root, record);
        }
        self.hold_slots_again(root);
        self.withdraw_unknown(root);
        if is_open && epoch < self.ownership.epoch(root) {
            self.own_tree(root);
        }
        self.tell_kept(root);
        // An attempt that was answered is not offered again, though its answer is not durable.
        self.carry_again(root, durable);
        self.feed(root, Input::Continue);
        self.tell_pending(root);
        self.settle(root);
    }

    /// Gives a new machine the inputs that the old one had and whose events were not stored. If the machine panics, no
    /// input is lost.
    fn tell_kept(&mut self, root: RunId) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        tree.untold = std::mem::take(&mut tree.kept);
        while let Some(Kept { input, .. }) = self.trees.get_mut(&root).and_then(|tree| tree.untold.pop_front()) {
            self.feed(root, input);
        }
    }

    /// Continues with what has come while the journal was being read.
    fn tell_pending(&mut self, root: RunId) {
        let pending = self.trees.get_mut(&root).map(|tree| std::mem::take(&mut tree.pending));
        for command in pending.unwrap_or_default() {
            self.contain(command);
        }
    }

    /// Loads values and flows that a machine or an offer needs.
    pub(super) fn need(&mut self, root: RunId, needs: Vec<Need>) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let new: Vec<Need> = needs.into_iter().filter(|need| !tree.loading.contains(need)).collect();
        tree.loading.extend(new.iter().cloned());
        let mut places = Vec::new();
        for need in new {
            match need {
                Need::Value(place) => places.push(place),
                Need::Flow(id) => self.load_flow(root, id),
            }
        }
        if !places.is_empty() {
            self.load_values(root, places);
        }
    }

    fn load_values(&mut self, root: RunId, places: Vec<ValueRef>) {
        let Some(tree) = self.trees.get(&root) else { return };
        let incarnation = tree.incarnation;
        let values = self.ports.journal.values(root, places.clone());
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            let _ = commands.send(Command::Values(root, incarnation, places, values.await));
        });
    }

    fn load_flow(&mut self, root: RunId, id: FlowId) {
        let Some(tree) = self.trees.get(&root) else { return };
        let incarnation = tree.incarnation;
        let flow = self.ports.journal.flow(id);
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            let _ = commands.send(Command::Flow(root, incarnation, id, flow.await));
        });
    }

    /// Values were loaded, or cannot be loaded now.
    pub(super) fn values_loaded(
        &mut self,
        root: RunId,
        incarnation: u64,
        places: &[ValueRef],
        values: Result<Vec<Option<Value>>, StoreError>,
    ) {
        let Some(tree) = self.trees.get_mut(&root).filter(|tree| tree.incarnation == incarnation) else { return };
        tree.loading.retain(|need| !matches!(need, Need::Value(place) if places.contains(place)));
        match values {
            Ok(values) => {
                for (place, value) in places.iter().zip(values) {
                    if value.is_none() && !matches!(place, ValueRef::Blob(_)) {
                        return self.give_up(root, format!("a value of its journal is not there: {place:?}"));
                    }
                    tree.at_hand.load(place, value);
                }
                self.loaded(root);
            }
            Err(StoreError::Damaged(what)) => self.give_up_damaged(root, &what),
            Err(error) => self.load_later(root, &error),
        }
    }

    /// A flow was loaded, or cannot be loaded now.
    pub(super) fn flow_loaded(
        &mut self,
        root: RunId,
        incarnation: u64,
        id: FlowId,
        flow: Result<Option<Arc<Plan>>, StoreError>,
    ) {
        let Some(tree) = self.trees.get_mut(&root).filter(|tree| tree.incarnation == incarnation) else { return };
        tree.loading.retain(|need| *need != Need::Flow(id));
        match flow {
            Ok(Some(plan)) => {
                self.plans.add(plan);
                self.loaded(root);
            }
            Ok(None) => self.give_up(root, format!("its flow `{id}` is not there any more")),
            Err(StoreError::Damaged(what)) => self.give_up_damaged(root, &what),
            Err(error) => self.load_later(root, &error),
        }
    }

    /// Continues once everything that was missing is there.
    fn loaded(&mut self, root: RunId) {
        if let Some(tree) = self.trees.get_mut(&root).filter(|tree| tree.loading.is_empty()) {
            tree.unloaded = 0;
            self.carry_held(root);
            self.feed(root, Input::Continue);
            if let Some(tree) = self.trees.get_mut(&root)
                && tree.machine.as_ref().is_some_and(|machine| !machine.is_waiting())
            {
                tree.at_hand.release(root, &mut self.values);
            }
        }
    }

    /// What a tree needs cannot be had now.
    fn load_later(&mut self, root: RunId, why: &StoreError) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        if tree.unloaded == 0 {
            tracing::warn!(run = %root, "the run waits for what cannot be read now: {why}");
        }
        tree.unloaded += 1;
        let wait = patience(tree.unloaded - 1);
        self.read_later(root, wait);
    }

    /// The store cannot do now what is asked of it: all of the tree is read again after a while.
    pub(super) fn read_later(&mut self, root: RunId, wait: Duration) {
        let next = self.next_incarnation();
        let Some(tree) = self.trees.get_mut(&root) else { return };
        tree.forget_machine(next);
        self.offered.forget_ahead(root, tree.durable);
        for timer in std::mem::take(&mut tree.timers).into_values() {
            self.timers.disarm(timer);
        }
        self.timers.arm(&*self.ports.clock, wait, Timer::Read(root, next));
    }

    /// Lets go of a tree that has ended and that nobody works for any more.
    pub(super) fn settle(&mut self, root: RunId) {
        match self.trees.get(&root) {
            Some(tree) if tree.is_done() => self.let_go(root),
            Some(tree) if tree.is_idle() => {
                let touched = tree.touched;
                self.timers.arm(&*self.ports.clock, self.park_after, Timer::Park(root, touched));
            }
            _ => {}
        }
    }

    /// Removes a tree from memory, with everything that the driver keeps for it.
    pub(super) fn let_go(&mut self, root: RunId) {
        self.unpark(root);
        let Some(tree) = self.trees.remove(&root) else { return };
        for timer in tree.timers.values() {
            self.timers.disarm(*timer);
        }
        // They are known nowhere else while nothing of them is decided.
        for run in tree.asked_for() {
            self.waiters.made(run, &Err(Error::NotOpen));
        }
        // One that has ended left nothing behind.
        if tree.is_done() {
            return;
        }
        let runs: Vec<RunId> = self.roots.extract_if(|_, of| *of == root).map(|(run, _)| run).collect();
        let offered: Vec<TaskRef> = self.offered.of(root).map(|(task, _)| task).collect();
        for task in offered {
            self.withdraw(root, task);
            self.forget_offered(root, task);
        }
        self.waiters.unsubscribe(root);
        for run in runs.into_iter().chain([root]) {
            self.waiters.made(run, &Err(Error::NotOpen));
            self.waiters.not_cancelled(run, &StoreError::unavailable("the run is not here any more", root.to_string()));
            if !self.given_up.tells_later(root, run) {
                let waited = self.waiters.ended(run);
                self.unblock(waited);
            }
        }
        for command in tree.pending {
            self.refuse(command);
        }
    }
}
