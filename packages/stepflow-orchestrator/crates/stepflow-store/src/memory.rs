//! Everything in memory, lost with the process. It keeps the last finished runs and removes older ones.

mod flows;
mod journal;
mod queries;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use stepflow_engine::event::{AttemptEnded, Event, ItemEnded, Outcome, Record, StepEnded, TaskRef, ValueRef};
use stepflow_engine::ports::{
    Append, Blob, Blobs, Commits, Created, Deleted, Due, ItemRow, NewRun, RunState, StagedInputs, StoreError,
};
use stepflow_engine::shard_of;
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, FlowResult, RunId, Value, content_id};

use self::flows::KeptFlows;
use crate::rows::Rows;

/// Those who wait for the end of a run read it afterwards: until then it is kept.
const FRESH: SignedDuration = SignedDuration::from_secs(1);

/// How long inputs wait for their run.
const STAGED: Duration = Duration::from_secs(60 * 60);

/// The store's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many finished runs are kept. Default 10 000.
    pub keep_finished: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep_finished: 10_000 }
    }
}

/// A store whose rows are lost with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    options: Options,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    trees: HashMap<RunId, Tree>,
    /// The root of each sub-run.
    roots: HashMap<RunId, RunId>,
    /// Roots of finished trees with their ends, the oldest first.
    finished: VecDeque<(Timestamp, RunId)>,
    flows: KeptFlows,
    blobs: HashMap<BlobId, Blob>,
    by_idempotency_key: HashMap<String, RunId>,
    /// Inputs that no run has yet, with the time of the last one.
    stages: HashMap<i64, (Instant, Vec<Value>)>,
    last_stage: i64,
    shards: HashMap<u8, Shard>,
    /// The due times of all trees.
    due: BTreeSet<(Timestamp, RunId, u64)>,
}

#[derive(Default)]
struct Shard {
    epoch: u64,
    /// Whether its owner left in good order.
    clean: bool,
    commits: Option<Arc<dyn Commits>>,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("epoch", &self.epoch).field("clean", &self.clean).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Tree {
    /// The plans of the root run and of sub-runs with overrides.
    plans: HashMap<RunId, Arc<Plan>>,
    inputs: HashMap<RunId, Vec<Value>>,
    journal: Vec<Arc<Record>>,
    rows: Rows,
    epoch: u64,
    owes: BTreeMap<u64, Timestamp>,
    marked: BTreeSet<TaskRef>,
    idle: bool,
    given_up: Option<String>,
    idempotency_key: Option<String>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options, kept: Mutex::default() })
    }
}

impl Kept {
    fn create(&mut self, new: NewRun, keep_finished: usize) -> Result<Created, StoreError> {
        if let Some(run) = new.idempotency_key.as_ref().and_then(|key| self.by_idempotency_key.get(key)) {
            return Ok(Created::Existing(*run));
        }
        let staged = new.stage.map(|stage| self.staged(stage).map(|inputs| (stage, inputs.clone()))).transpose()?;
        let flow = new.plan.flow_id;
        self.flows.keep(&new.plan, written_at(&new.append));
        let tree = Tree {
            plans: HashMap::from([(new.append.root, new.plan)]),
            inputs: HashMap::new(),
            journal: Vec::new(),
            rows: Rows::default(),
            epoch: new.append.epoch,
            owes: BTreeMap::new(),
            marked: BTreeSet::new(),
            idle: false,
            given_up: None,
            idempotency_key: new.idempotency_key.clone(),
        };
        let root = new.append.root;
        self.trees.insert(root, tree);
        if let Err(refused) = self.append(new.append, keep_finished) {
            self.trees.remove(&root);
            self.flows.forget_unused(flow);
            return Err(refused);
        }
        if let Some((stage, inputs)) = staged {
            self.stages.remove(&stage.number);
            self.trees.entry(root).and_modify(|tree| drop(tree.inputs.insert(root, inputs)));
        }
        self.by_idempotency_key.extend(new.idempotency_key.map(|key| (key, root)));
        Ok(Created::New)
    }

    fn staged(&mut self, stage: StagedInputs) -> Result<&mut Vec<Value>, StoreError> {
        let inputs = self.stages.get_mut(&stage.number).map(|(_, inputs)| inputs);
        inputs.filter(|inputs| inputs.len() == stage.items as usize).ok_or_else(|| no_stage(stage))
    }

    fn stage(&mut self, after: Option<StagedInputs>, inputs: Vec<Value>) -> Result<StagedInputs, StoreError> {
        self.stages.retain(|_, (last, _)| last.elapsed() < STAGED);
        let mut all = after.map(|stage| self.staged(stage).map(std::mem::take)).transpose()?.unwrap_or_default();
        all.extend(inputs);
        self.last_stage += i64::from(after.is_none());
        let number = after.map_or(self.last_stage, |stage| stage.number);
        let items = u32::try_from(all.len()).unwrap_or(u32::MAX);
        self.stages.insert(number, (Instant::now(), all));
        Ok(StagedInputs { number, items })
    }

    fn append(&mut self, append: Append, keep_finished: usize) -> Result<(), StoreError> {
        let root = append.root;
        let theirs = self.shards.get(&shard_of(root)).map_or(0, |shard| shard.epoch);
        if append.epoch < theirs {
            return Err(StoreError::Fenced { ours: append.epoch, theirs });
        }
        let tree = self.trees.get_mut(&root).ok_or_else(|| no_run(root))?;
        let last = tree.journal.len() as u64;
        if append.after != last {
            return Err(StoreError::Conflict { after: append.after, last });
        }
        let at = written_at(&append);
        tree.epoch = append.epoch;
        tree.idle = append.idle;
        tree.inputs.extend(append.inputs);
        tree.marked.retain(|task| !append.unmarks.contains(task));
        for flow in append.flows {
            self.flows.keep(&flow, at);
        }
        self.settle(root, &append.settles);
        self.owe(root, &append.owes);
        self.extend(root, append.records, keep_finished);
        Ok(())
    }

    fn owe(&mut self, root: RunId, owes: &[Due]) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        for due in owes {
            tree.owes.insert(due.seq, due.at);
            self.due.insert((due.at, root, due.seq));
        }
    }

    fn settle(&mut self, root: RunId, seqs: &[u64]) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        for seq in seqs {
            if let Some(at) = tree.owes.remove(seq) {
                self.due.remove(&(at, root, *seq));
            }
        }
    }

    fn extend(&mut self, root: RunId, records: Vec<Arc<Record>>, keep_finished: usize) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        for record in records {
            match &record.event {
                Event::RunCreated(created) => {
                    self.flows.add_run(created.flow_id);
                    if created.run != root {
                        self.roots.insert(created.run, root);
                        let flow = created.overrides.as_ref().zip(self.flows.get(created.flow_id));
                        if let Some(Ok(plan)) = flow.map(|(overrides, flow)| flow.with_overrides(overrides)) {
                            tree.plans.insert(created.run, Arc::new(plan));
                        }
                    }
                }
                Event::RunEnded(end) if end.run == root => self.finished.push_back((record.at, root)),
                _ => {}
            }
            tree.rows.apply(&record);
            tree.journal.push(record);
        }
        let Some((now, _)) = self.finished.back().copied() else { return };
        while self.finished.len() > keep_finished
            && let Some((_, oldest)) = self.finished.pop_front_if(|(end, _)| now.duration_since(*end) >= FRESH)
        {
            if let Some(key) = self.trees.get(&oldest).and_then(|tree| tree.idempotency_key.as_ref()) {
                self.by_idempotency_key.remove(key);
            }
            self.forget(oldest);
        }
    }

    fn delete(&mut self, root: RunId) -> Result<Deleted, StoreError> {
        let tree = self.trees.get(&root).ok_or_else(|| no_run(root))?;
        let has_ended = tree.rows.runs.get(&root).is_some_and(|run| run.status.is_terminal());
        if !has_ended && tree.given_up.is_none() {
            return Ok(Deleted::Open);
        }
        self.finished.retain(|(_, finished)| *finished != root);
        self.forget(root);
        Ok(Deleted::Gone)
    }

    fn forget(&mut self, root: RunId) {
        let Some(tree) = self.trees.remove(&root) else { return };
        for run in tree.rows.runs.values() {
            self.roots.remove(&run.run);
            self.flows.remove_run(run.flow_id);
        }
        for (seq, at) in tree.owes {
            self.due.remove(&(at, root, seq));
        }
    }

    fn value(&self, root: RunId, place: &ValueRef) -> Option<Value> {
        match place {
            ValueRef::Blob(id) => {
                let stored = self.blobs.get(id).map(|blob| blob.data.clone());
                let flow = || self.flows.get(*id).and_then(|plan| Value::parse(plan.flow.canonical()).ok());
                stored.or_else(flow)
            }
            _ => self.trees.get(&root)?.value(place),
        }
    }

    fn standing(&self, run: RunId) -> Option<RunState> {
        let root = *self.roots.get(&run).unwrap_or(&run);
        let tree = self.trees.get(&root)?;
        let ended = tree.rows.runs.get(&run)?.status.is_terminal();
        Some(RunState { root, ended, given_up: tree.given_up.clone() })
    }
}

impl Tree {
    fn item(&self, run: RunId, item: u32) -> ItemRow {
        let Some(end) = self.rows.end_of(run, item) else {
            let given_up = self.given_up.as_deref();
            return given_up.map_or_else(|| ItemRow::running(item), |why| ItemRow::given_up(item, why));
        };
        let result = match &end.result {
            Outcome::Failed(error) => Some(FlowResult::Failed(error.clone())),
            Outcome::Success(place) => self.value(place).map(FlowResult::Success),
        };
        ItemRow { item, status: end.status, result, ended_at: Some(end.at) }
    }

    /// The input of an item. For a sub-run of the first release it is in the run's first event.
    fn input(&self, run: RunId, item: u32) -> Option<Value> {
        if let Some(inputs) = self.inputs.get(&run) {
            return inputs.get(item as usize).cloned();
        }
        let inline = self.journal.iter().find_map(|record| match &record.event {
            Event::RunCreated(created) if created.run == run => created.inline_inputs(),
            _ => None,
        });
        inline?.elements().into_iter().nth(item as usize)
    }

    fn value(&self, place: &ValueRef) -> Option<Value> {
        match place {
            ValueRef::Inline(value) => Some(value.clone()),
            ValueRef::Item(run, item) => self.input(*run, *item),
            // Sequences have no gaps and begin with 1.
            ValueRef::Row(seq) => match &self.journal.get((*seq as usize).checked_sub(1)?)?.event {
                Event::AttemptEnded(AttemptEnded { payload: Some(place), .. })
                | Event::StepEnded(StepEnded { result: Outcome::Success(place), .. })
                | Event::ItemEnded(ItemEnded { result: Outcome::Success(place), .. }) => self.value(place),
                _ => None,
            },
            ValueRef::Blob(_) => None,
        }
    }
}

fn done<T: Send + 'static>(result: Result<T, StoreError>) -> BoxFuture<'static, Result<T, StoreError>> {
    ready(result).boxed()
}

/// The time of an append: the one of its first event.
fn written_at(append: &Append) -> Timestamp {
    append.records.first().map_or(Timestamp::UNIX_EPOCH, |record| record.at)
}

fn no_stage(stage: StagedInputs) -> StoreError {
    StoreError::NotFound { what: "stage", id: format!("{} of {} inputs", stage.number, stage.items) }
}

fn no_run(root: RunId) -> StoreError {
    StoreError::NotFound { what: "run", id: root.to_string() }
}

impl Blobs for MemoryStore {
    fn put(&self, blob: Blob) -> BoxFuture<'static, Result<BlobId, StoreError>> {
        let blob = Blob { data: blob.data.canonical(), ..blob };
        let id = content_id(blob.data.as_bytes());
        self.kept.lock().blobs.entry(id).or_insert(blob);
        done(Ok(id))
    }

    fn get(&self, id: BlobId) -> BoxFuture<'static, Result<Blob, StoreError>> {
        let blob = self.kept.lock().blobs.get(&id).cloned();
        done(blob.ok_or_else(|| StoreError::NotFound { what: "blob", id: id.to_string() }))
    }
}
