//! Steps that run ahead of the disk. A component that changes nothing outside may run before the event that scheduled it
//! is durable. What is lost in a crash is run again; nobody has seen it.

use stepflow_protocol::RunId;

use super::Driver;
use crate::event::{Reason, ValueRef};
use crate::machine::{Effect, owed_between};
use crate::notice::Notice;
use crate::ports::Purity;

/// How many events of a tree may wait for the disk while more of its steps run ahead.
const MOST_EVENTS: usize = 256;

/// The same in bytes of values.
const MOST_BYTES: usize = 1 << 20;

impl Driver {
    /// Offers the attempts that need not wait until they are durable.
    pub(super) fn run_ahead(&mut self, root: RunId) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let Some(machine) = &tree.machine else { return };
        let state = machine.state();
        let bytes = || tree.undurable.iter().map(|record| record.event.size()).sum::<usize>();
        if state.seq <= tree.durable || tree.undurable.len() >= MOST_EVENTS || bytes() >= MOST_BYTES {
            return;
        }
        let is_here = |place: &ValueRef| {
            matches!(place, ValueRef::Inline(_)) || tree.at_hand.get(place).or(self.values.get(root, place)).is_some()
        };
        // A machine that was made again may not have heard an answer yet.
        let has_run = |task| tree.kept.iter().chain(&tree.untold).any(|kept| kept.answers() == Some(task));
        let may_run = |effect: &Effect| match effect {
            Effect::Offer { task, route, reason, input, .. } => {
                let is_pure = *reason != Reason::Recovery && self.ports.host.purity(route) != Purity::External;
                is_pure && is_here(input) && !has_run(*task)
            }
            Effect::Wake { .. } | Effect::Deadline { .. } | Effect::Cancel { .. } => false,
        };
        let after = tree.durable.max(tree.seen_ahead);
        let offers: Vec<(u64, Effect)> =
            owed_between(state, after, state.seq).filter(|(_, effect)| may_run(effect)).collect();
        tree.seen_ahead = state.seq;
        tree.ahead.extend(offers.iter().map(|(seq, _)| (*seq, None)));
        for (seq, effect) in offers {
            let Effect::Offer { task, .. } = effect else { continue };
            self.carry(root, seq, effect);
            if let Some(offered) = self.offered.get_mut(root, task) {
                offered.ahead = Some(seq);
            }
        }
    }

    /// Keeps the notice of a step that has started ahead of the disk, and drops the one of a step that may not be
    /// scheduled any more. Gives back every other notice.
    pub(super) fn held_back(&mut self, root: RunId, ahead: Option<u64>, notice: Notice) -> Option<Notice> {
        let Some(seq) = ahead else { return Some(notice) };
        let tree = self.trees.get_mut(&root)?;
        if let Some(held) = tree.ahead.get_mut(&seq) {
            *held = Some(notice);
            return None;
        }
        (seq <= tree.durable).then_some(notice)
    }

    /// The event with this sequence is durable. If its step has started ahead of it, this is told now.
    pub(super) fn tell_started(&mut self, root: RunId, seq: u64) {
        let held = self.trees.get_mut(&root).and_then(|tree| tree.ahead.get_mut(&seq)?.take());
        let Some(notice) = held else { return };
        self.waiters.publish(root, &notice);
        if let Notice::Started { task, .. } = &notice
            && let Some(offered) = self.offered.get_mut(root, *task)
        {
            offered.started = Some(notice);
        }
    }
}
