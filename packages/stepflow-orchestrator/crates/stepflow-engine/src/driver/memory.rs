//! The values and flows in memory. There are two caches with a limit for all trees. In addition each tree has values
//! that must not leave memory now.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, FlowId, RunId, Value};

use crate::event::{Event, Record, ValueRef};

/// The average size of a value for which the cache is laid out.
const USUAL_SIZE: usize = 1 << 10;

/// What a value costs beside its bytes.
const OVERHEAD: usize = 128;

/// How many flows are kept compiled.
const FLOWS: usize = 1_000;

/// Names a value over all trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Row(RunId, u64),
    Item(RunId, u32),
    Blob(BlobId),
}

impl Key {
    fn of(root: RunId, place: &ValueRef) -> Option<Self> {
        match place {
            ValueRef::Inline(_) => None,
            ValueRef::Row(seq) => Some(Self::Row(root, *seq)),
            ValueRef::Item(run, item) => Some(Self::Item(*run, *item)),
            ValueRef::Blob(id) => Some(Self::Blob(*id)),
        }
    }
}

/// The durable values that are in memory: one cache over all trees, bounded in bytes.
pub(super) struct Values {
    cache: Cache<Key, Value, Bytes>,
    /// Larger ones are not kept.
    largest: usize,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Value> for Bytes {
    fn weight(&self, _: &Key, value: &Value) -> u64 {
        (value.size() + OVERHEAD) as u64
    }
}

impl Values {
    /// A cache of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let cache = Cache::with_weighter(bytes / (USUAL_SIZE + OVERHEAD), bytes as u64, Bytes);
        Self { cache, largest: bytes / 8 }
    }

    /// The value in this place, if it is in memory.
    pub fn get(&self, root: RunId, place: &ValueRef) -> Option<Value> {
        self.cache.get(&Key::of(root, place)?).cloned()
    }

    fn insert(&mut self, root: RunId, place: &ValueRef, value: Value) {
        if let Some(key) = Key::of(root, place).filter(|_| value.size() <= self.largest) {
            self.cache.insert(key, value);
        }
    }
}

/// The values of one tree that must not leave memory: those that are not durable, and those that its next decision
/// asked for.
#[derive(Debug, Default)]
pub(super) struct AtHand {
    values: HashMap<LocalKey, Value>,
    /// Places of values that are not durable, with the sequence from which on they are.
    fresh: VecDeque<(u64, LocalKey)>,
    loaded: Vec<LocalKey>,
    absent: HashSet<BlobId>,
}

/// A place that only refers to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LocalKey {
    Row(u64),
    Item(RunId, u32),
    Blob(BlobId),
}

impl LocalKey {
    fn of(place: &ValueRef) -> Option<Self> {
        match place {
            ValueRef::Inline(_) => None,
            ValueRef::Row(seq) => Some(Self::Row(*seq)),
            ValueRef::Item(run, item) => Some(Self::Item(*run, *item)),
            ValueRef::Blob(id) => Some(Self::Blob(*id)),
        }
    }

    fn reference(self) -> ValueRef {
        match self {
            Self::Row(seq) => ValueRef::Row(seq),
            Self::Item(run, item) => ValueRef::Item(run, item),
            Self::Blob(id) => ValueRef::Blob(id),
        }
    }
}

impl AtHand {
    /// The value in this place, if it is in memory.
    pub fn get(&self, place: &ValueRef) -> Option<Value> {
        if self.values.is_empty() {
            return None;
        }
        self.values.get(&LocalKey::of(place)?).cloned()
    }

    /// Whether it is known that this content does not exist.
    pub fn is_absent(&self, id: BlobId) -> bool {
        self.absent.contains(&id)
    }

    /// Takes the input of a run that is about to be created.
    pub fn add_input(&mut self, run: RunId, item: u32, input: Value) {
        self.values.insert(LocalKey::Item(run, item), input);
    }

    /// Takes the values that a new event brings.
    pub fn keep(&mut self, record: &Record) {
        if let Some(ValueRef::Inline(value)) = record.event.value() {
            self.values.insert(LocalKey::Row(record.seq), value.clone());
            self.fresh.push_back((record.seq, LocalKey::Row(record.seq)));
        }
        if let Event::RunCreated(created) = &record.event {
            let inputs = (0..created.items).map(|item| (record.seq, LocalKey::Item(created.run, item)));
            self.fresh.extend(inputs);
        }
    }

    /// Takes a value that the next decision needs; `None` if it does not exist.
    pub fn load(&mut self, place: &ValueRef, value: Option<Value>) {
        match (LocalKey::of(place), value) {
            // A value that is here already was not loaded: it is not durable yet.
            (Some(key), Some(value)) if !self.values.contains_key(&key) => {
                self.values.insert(key, value);
                self.loaded.push(key);
            }
            (Some(LocalKey::Blob(id)), None) => drop(self.absent.insert(id)),
            _ => {}
        }
    }

    /// The next decision is made: the values that were loaded for it may leave memory.
    pub fn release(&mut self, root: RunId, values: &mut Values) {
        self.absent.clear();
        for place in self.loaded.drain(..) {
            if let Some(value) = self.values.remove(&place) {
                values.insert(root, &place.reference(), value);
            }
        }
    }

    /// What came with events up to this sequence may leave memory: it is durable.
    pub fn became_durable(&mut self, root: RunId, upto: u64, values: &mut Values) {
        while let Some((_, place)) = self.fresh.pop_front_if(|(seq, _)| *seq <= upto) {
            if let Some(value) = self.values.remove(&place) {
                values.insert(root, &place.reference(), value);
            }
        }
    }
}

/// The compiled flows: as their authors wrote them, and with the overrides of runs.
pub(super) struct Plans {
    flows: Cache<FlowId, Arc<Plan>>,
    /// By flow and by the overrides' text. Made when they are needed, from a run's journal.
    patched: RefCell<Cache<(FlowId, String), Arc<Plan>>>,
}

impl Plans {
    /// No flow.
    pub fn new() -> Self {
        Self { flows: Cache::new(FLOWS), patched: RefCell::new(Cache::new(FLOWS)) }
    }

    /// Keeps a flow as its author wrote it. If it is kept already, nothing changes.
    pub fn add(&mut self, plan: Arc<Plan>) -> Arc<Plan> {
        if let Some(known) = self.flows.get(&plan.flow_id) {
            return Arc::clone(known);
        }
        self.flows.insert(plan.flow_id, Arc::clone(&plan));
        plan
    }

    /// The plan of a run of this flow with these overrides.
    pub fn get(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>> {
        let plan = self.flows.get(&flow)?;
        let Some(overrides) = overrides else { return Some(Arc::clone(plan)) };
        let key = (flow, overrides.as_str().to_owned());
        let mut patched = self.patched.borrow_mut();
        if let Some(patched) = patched.get(&key) {
            return Some(Arc::clone(patched));
        }
        let plan = Arc::new(plan.with_overrides(overrides).ok()?);
        patched.insert(key, Arc::clone(&plan));
        Some(plan)
    }
}
