//! What happens when a time has come.

use std::time::Duration;

use stepflow_protocol::RunId;

use super::Driver;
use super::timers::{Timer, until};
use crate::command::Command;
use crate::machine::Input;

/// The wait before a deadline is told again, if nothing was decided.
const AGAIN: Duration = Duration::from_secs(1);

/// How many events of a tree may wait for the store when its machine continues with long work.
const MOST_UNDURABLE: usize = 1_000;

impl Driver {
    /// Lets the machine continue after others have had their turn. Once is enough: a tree that gets many inputs
    /// meanwhile has no more turns than others. A tree that is far ahead of the store continues when the store has
    /// caught up, or everybody else's appends would wait behind those of this tree.
    pub(super) fn tell_again(&mut self, root: RunId) {
        let Some(tree) = self.trees.get_mut(&root).filter(|tree| !tree.is_told) else { return };
        tree.is_ahead = tree.undurable.len() > MOST_UNDURABLE;
        if !tree.is_ahead {
            tree.is_told = true;
            let _ = self.commands.send(Command::Tell(root, Input::Continue));
        }
    }

    /// The store has caught up with some events of the tree.
    pub(super) fn tell_held_up(&mut self, root: RunId) {
        if self.trees.get(&root).is_some_and(|tree| tree.is_ahead) {
            self.tell_again(root);
        }
    }

    /// The driver has told itself this input.
    pub(super) fn told(&mut self, root: RunId, input: Input) {
        if let Some(tree) = self.trees.get_mut(&root).filter(|_| input == Input::Continue) {
            tree.is_told = false;
        }
        self.feed(root, input);
    }

    /// Does what the timer is for.
    pub(super) fn timer_due(&mut self, timer: Timer) {
        match timer {
            Timer::Wake(root, seq) => self.wake(root, seq),
            Timer::Attempt(root, task) => self.handle(Command::TimedOut(root, task)),
            Timer::Mark(root, task) => self.mark_if_at_work(root, task),
            Timer::Read(root, incarnation) => self.read(root, incarnation),
            Timer::Park(root, touched) => self.park(root, touched),
            Timer::Load(root) => drop(self.tree(root)),
            Timer::Own => self.take_over(),
            Timer::Recover(after) => self.recover(after),
            Timer::Horizon => self.look_ahead(),
            Timer::Find(run) => self.find_again(run),
            Timer::GiveUp(root) => self.note_given_up(root),
        }
    }

    /// A due time of a tree. If the clock was set back, the timer fires too early and is armed again.
    fn wake(&mut self, root: RunId, seq: u64) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        tree.timers.remove(&seq);
        let Some((due_at, input)) = tree.machine.as_ref().and_then(|machine| machine.state().due(seq)) else { return };
        let now = self.ports.clock.now();
        if now < due_at {
            let key = self.timers.arm(&*self.ports.clock, until(due_at, now), Timer::Wake(root, seq));
            tree.timers.insert(seq, key);
            self.settle(root);
        } else {
            let is_deadline = matches!(input, Input::DeadlineReached(_));
            self.handle(Command::Tell(root, input));
            if is_deadline {
                self.arm_again(root, seq);
            }
        }
    }

    /// A deadline without a decision. Its flow has to be read first, and until then the clock may be set back.
    fn arm_again(&mut self, root: RunId, seq: u64) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        if tree.machine.as_ref().is_some_and(|machine| machine.state().due(seq).is_some()) {
            let key = self.timers.arm(&*self.ports.clock, AGAIN, Timer::Wake(root, seq));
            tree.timers.insert(seq, key);
        }
    }
}
