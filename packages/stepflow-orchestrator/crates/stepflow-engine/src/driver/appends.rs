//! The events that machines decide: their way into the journal, and the answer that they are durable or refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use stepflow_flow::Plan;
use stepflow_protocol::{FlowId, RunId};

use super::Driver;
use super::loading::patience;
use super::tree::{Kept, Tree};
use crate::event::{Event, Record};
use crate::machine::Input;
use crate::notice::Notice;
use crate::ports::{Append, AppendRef, Appended, Due, StoreError};

impl Driver {
    /// Has these events stored, with all that belongs to them.
    pub(super) fn append(&mut self, root: RunId, records: Vec<Arc<Record>>) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let Some(machine) = &mut tree.machine else { return };
        let settles = machine.take_settled();
        if records.is_empty() {
            return;
        }
        let after = machine.state().seq - records.len() as u64;
        let upto = machine.state().seq;
        let dues: Vec<Due> = records.iter().filter_map(|record| due_of(record)).collect();
        // Effects that began and ended in the same append are not carried out.
        let owes = dues.iter().filter(|due| !settles.contains(&due.seq)).copied().collect();
        for timer in settles.iter().filter_map(|seq| tree.timers.remove(seq)) {
            self.timers.disarm(timer);
        }
        let flows: BTreeMap<FlowId, Arc<Plan>> = records
            .iter()
            .filter_map(|record| match &record.event {
                Event::RunCreated(created) if created.run != root => {
                    Some((created.flow_id, self.plans.get(created.flow_id, None)?))
                }
                _ => None,
            })
            .collect();
        let mut unmarks = Vec::new();
        for record in &records {
            match &record.event {
                Event::RunCreated(created) if created.run != root => drop(self.roots.insert(created.run, root)),
                Event::AttemptEnded(ended) if tree.marked.remove(&ended.task) => unmarks.push(ended.task),
                Event::OwnerChanged(_) => unmarks.extend(std::mem::take(&mut tree.marked)),
                _ => {}
            }
        }
        tree.undurable.extend(records.iter().cloned());
        tree.flows.extend(flows.clone());
        let moves_by_itself = machine.state().open > 0 || machine.is_waiting() || !tree.undecided.is_empty();
        let idle = !moves_by_itself && (machine.state().is_ended() || machine.state().next_due().is_some());
        let (incarnation, epoch) = (tree.incarnation, self.ownership.epoch(root));
        let creating = tree.creating.clone().filter(|_| after == 0);
        let inputs = std::mem::take(&mut tree.inputs).into_iter().collect();
        let flows = flows.into_values().collect();
        let append = Append { root, epoch, incarnation, after, records, flows, inputs, owes, settles, unmarks, idle };
        let written = AppendRef { root, incarnation, upto };
        match creating {
            Some(creation) => self.store(creation, append, written),
            None if self.ports.journal.append(append) == Appended::Now => self.committed(written),
            None => {}
        }
    }

    /// These events are durable: who waits for them is told, and what they owe is carried out.
    pub(super) fn committed(&mut self, written: AppendRef) {
        let AppendRef { root, incarnation, upto } = written;
        let Some(tree) = self.trees.get_mut(&root).filter(|tree| tree.incarnation == incarnation) else { return };
        self.at_work_on = Some(root);
        tree.durable = tree.durable.max(upto);
        (tree.panics, tree.refusals) = (0, 0);
        tree.at_hand.became_durable(root, upto, &mut self.values);
        while let Some(record) = self.next_durable(root, upto) {
            let seq = record.seq;
            self.tell_durable(root, record);
            self.tell_started(root, seq);
        }
        self.trees.get_mut(&root).map(Tree::forget_durable_inputs);
        self.carry_out(root);
        self.tell_held_up(root);
        self.settle(root);
    }

    fn next_durable(&mut self, root: RunId, upto: u64) -> Option<Arc<Record>> {
        self.trees.get_mut(&root)?.undurable.pop_front_if(|record| record.seq <= upto)
    }

    /// Tells everyone what has become durable.
    pub(super) fn tell_durable(&mut self, root: RunId, record: Arc<Record>) {
        let waited = self.waiters.durable(&record);
        self.unblock(waited);
        let ended = match &record.event {
            Event::RunEnded(ended) => Some(ended.run),
            _ => None,
        };
        self.waiters.publish(root, &Notice::Record(record));
        if let Some(run) = ended {
            self.roots.remove(&run);
            if run == root {
                self.waiters.unsubscribe(root);
            }
        }
    }

    /// These events were not stored.
    pub(super) fn failed(&mut self, written: AppendRef, why: &StoreError) {
        let AppendRef { root, incarnation, .. } = written;
        let Some(tree) = self.trees.get(&root).filter(|tree| tree.incarnation == incarnation) else { return };
        let asked: Vec<RunId> = tree.kept.iter().filter_map(|kept| cancelled_run(root, kept)).collect();
        asked.into_iter().for_each(|run| self.waiters.not_cancelled(run, why));
        match why {
            // Another engine continues with it.
            StoreError::Fenced { .. } => self.let_go(root),
            _ => self.rebuild_in_time(root),
        }
    }

    /// Makes a machine again whose append was refused: at once, or, where that has not helped, after a while.
    pub(super) fn rebuild_in_time(&mut self, root: RunId) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        tree.refusals += 1;
        match tree.refusals {
            1 => self.rebuild(root),
            refusals => self.read_later(root, patience(refusals - 2)),
        }
    }

    /// Drops everything that a tree's machine has decided and that is not durable. Makes the machine again from the
    /// journal.
    pub(super) fn rebuild(&mut self, root: RunId) {
        let incarnation = self.next_incarnation();
        let Some(tree) = self.trees.get_mut(&root) else { return };
        tree.forget_machine(incarnation);
        self.offered.forget_ahead(root, tree.durable);
        for timer in std::mem::take(&mut tree.timers).into_values() {
            self.timers.disarm(timer);
        }
        self.read(root, incarnation);
    }
}

/// The run whose cancellation was asked for.
fn cancelled_run(root: RunId, kept: &Kept) -> Option<RunId> {
    match &kept.input {
        Input::CancelAsked(asked) => Some(asked.run.unwrap_or(root)),
        _ => None,
    }
}

/// The wall time that an event decided.
fn due_of(record: &Record) -> Option<Due> {
    let at = match &record.event {
        Event::RunCreated(created) => created.deadline_at?,
        Event::RetryScheduled(retry) => retry.due_at,
        Event::StepRetryScheduled(retry) => retry.due_at,
        Event::TimerStarted(timer) => timer.due_at,
        _ => return None,
    };
    Some(Due { at, seq: record.seq })
}
