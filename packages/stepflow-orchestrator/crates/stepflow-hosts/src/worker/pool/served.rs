//! Which workers of a plugin serve which components: each says so in its handshake, and they may have different
//! versions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{TaskEnvelope, max_suspects};
use stepflow_protocol::FlowError;

use super::instance::{Instance, InstanceId};
use super::state::Refusal;
use crate::components::Components;
use crate::fair::{FairQueue, Lane};

/// What the plugin's workers said last, by slot.
#[derive(Debug, Default)]
pub(super) struct ServedBySlot {
    lists: BTreeMap<usize, Arc<Components>>,
    /// The slots whose last start failed, with the reason.
    failed: BTreeMap<usize, Refusal>,
    all: Option<Arc<Components>>,
    /// Whether some worker serves a component that another does not.
    differ: bool,
    /// The sets of slots that serve something which others do not. A task's lane has the number of its set, from 1.
    sets: Vec<BTreeSet<usize>>,
}

impl ServedBySlot {
    /// Stores what the worker in a slot serves now. `true` when that may change where tasks go.
    pub(super) fn update(&mut self, slot: usize, list: Arc<Components>) -> bool {
        self.failed.remove(&slot);
        let same = |known: &Arc<Components>| known.infos() == list.infos();
        let before = self.differ;
        self.differ = self.lists.iter().any(|(at, known)| *at != slot && !same(known));
        // If several serve a component, the newest description is used.
        let others = self.lists.iter().filter(|(at, _)| **at != slot).map(|(_, list)| list);
        let all = self.differ.then(|| Arc::new(Components::union([&list].into_iter().chain(others))));
        self.all = Some(all.unwrap_or_else(|| Arc::clone(&list)));
        self.lists.insert(slot, list);
        before || self.differ
    }

    /// The start of the worker in a slot failed. Returns how many slots are in that state.
    pub(super) fn failed(&mut self, slot: usize, refusal: Refusal) -> usize {
        self.failed.insert(slot, refusal);
        self.failed.len()
    }

    /// Whether every slot that has failed has done so for all tasks.
    pub(super) fn all_given_up(&self) -> bool {
        self.failed.values().all(|refusal| refusal.of_all)
    }

    /// Whether tasks of this lane may fail, because no worker that serves them starts.
    pub(super) fn is_failed(&self, lane: Lane) -> bool {
        let failed = |slots: &BTreeSet<usize>| slots.iter().all(|slot| self.failed.contains_key(slot));
        self.set(lane.served_by).is_some_and(failed)
    }

    /// Why this task fails, if no worker that serves it starts.
    pub(super) fn refusal(&self, lane: Lane, task: &TaskEnvelope) -> Option<&FlowError> {
        let slots = self.set(lane.served_by).filter(|_| self.is_failed(lane))?;
        let mut refusals = slots.iter().filter_map(|slot| self.failed.get(slot));
        let error = &refusals.next()?.error;
        slots.iter().filter_map(|slot| self.failed.get(slot)).all(|refusal| refusal.applies_to(task)).then_some(error)
    }

    /// What the plugin serves; `None` until a worker has said so.
    pub(super) fn all(&self) -> Option<&Arc<Components>> {
        self.all.as_ref()
    }

    /// The number of the set of workers that serve a path; 0 when all do, or none.
    pub(super) fn set_number(&mut self, path: &str) -> u32 {
        if !self.differ {
            return 0;
        }
        let serving = self.lists.iter().filter(|(_, list)| list.serving(path).is_some());
        let slots: BTreeSet<usize> = serving.map(|(slot, _)| *slot).collect();
        if slots.is_empty() || slots.len() == self.lists.len() {
            return 0;
        }
        let at = self.sets.iter().position(|set| *set == slots).unwrap_or_else(|| {
            self.sets.push(slots);
            self.sets.len() - 1
        });
        u32::try_from(at + 1).unwrap_or_default()
    }

    /// Whether a task of this lane may go to the worker in this slot.
    pub(super) fn may_serve(&self, lane: Lane, slot: usize) -> bool {
        self.set(lane.served_by).is_none_or(|slots| slots.contains(&slot))
    }

    fn set(&self, number: u32) -> Option<&BTreeSet<usize>> {
        self.sets.get((number as usize).checked_sub(1)?)
    }
}

/// The instance with the most free slots among those that take a task of this lane now.
pub(super) fn most_free(
    instances: &[Instance],
    served: &ServedBySlot,
    lane: Lane,
    reserved: Option<InstanceId>,
) -> Option<usize> {
    let is_reserved = |instance: &Instance| lane.max_suspects == 0 && reserved == Some(instance.id);
    let takes = |at: &Instance| at.takes(lane) && served.may_serve(lane, at.slot) && !is_reserved(at);
    let taking = instances.iter().enumerate().filter(|(_, instance)| takes(instance));
    taking.max_by_key(|(_, instance)| instance.free()).map(|(at, _)| at)
}

/// The instance that is kept free for suspects of a crash: the one that other tasks will leave soonest.
pub(super) fn reserved_for_suspects(
    instances: &[Instance],
    served: &ServedBySlot,
    waiting: &FairQueue,
) -> Option<InstanceId> {
    if !waiting.has(|lane| lane.max_suspects > 0) {
        return None;
    }
    let may_have = |instance: &&Instance| {
        instance.is_open() && waiting.has(|lane| lane.max_suspects > 0 && served.may_serve(lane, instance.slot))
    };
    let open = instances.iter().filter(may_have);
    let soonest = open.min_by_key(|instance| (instance.unsuspected(), instance.connection.busy()));
    soonest.map(|instance| instance.id)
}

/// A task that must go out although suspects of a crash are in its instance, because an execute there waits for it.
/// That execute may ask again and again whether the task has ended. Without this, both would wait for ever.
pub(super) fn awaited_task(
    instances: &[Instance],
    served: &ServedBySlot,
    waiting: &FairQueue,
    reserved: Option<InstanceId>,
) -> Option<(usize, Lane, TaskRef)> {
    let kept = |at: &Instance| reserved == Some(at.id) || at.connection.suspects() > 0;
    instances.iter().enumerate().filter(|(_, instance)| kept(instance)).find_map(|(at, instance)| {
        let below = instance.connection.at_work().flat_map(|open| waiting.below(open.task.task.task_id));
        let mut fitting =
            below.filter(|(lane, task)| served.may_serve(*lane, instance.slot) && instance.takes_below(*lane, task));
        fitting.next().map(|(lane, task)| (at, lane, task.task))
    })
}

/// The lane in which a task waits.
pub(super) fn lane_of(task: &TaskEnvelope, bounded: &HashMap<String, u32>, served: &mut ServedBySlot) -> Lane {
    let path = &task.route.component;
    let number = || bounded.get(served.all()?.serving(path)?).copied();
    let component = if bounded.is_empty() { 0 } else { number().unwrap_or_default() };
    Lane { component, max_suspects: max_suspects(task.suspects), served_by: served.set_number(path) }
}
