//! Everything in memory, lost with the process. Keeps the last finished runs and forgets older ones.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use stepflow_engine::event::{Event, Outcome, Record, ValueRef};
use stepflow_engine::ports::{Blob, Blobs, Journal, NewRun, StoreError};
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, ExecutionStatus, FlowId, FlowResult, RunId, Value, content_id};

use crate::rows::{ItemRow, Rows, RunRow, StepRow};

/// The store's settings.
#[derive(Debug, Clone)]
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
    /// Roots of finished trees, the oldest first.
    finished: VecDeque<RunId>,
    flows: HashMap<FlowId, Arc<Plan>>,
    blobs: HashMap<BlobId, Blob>,
}

#[derive(Debug)]
struct Tree {
    /// The plans of the root run and of sub-runs with overrides.
    plans: HashMap<RunId, Arc<Plan>>,
    inputs: Vec<Value>,
    journal: Vec<Record>,
    rows: Rows,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options, kept: Mutex::default() })
    }

    /// Keeps a flow under its id.
    pub fn put_flow(&self, plan: Arc<Plan>) {
        self.kept.lock().flows.insert(plan.flow_id, plan);
    }

    /// The flow of this id.
    #[must_use]
    pub fn flow(&self, id: FlowId) -> Option<Arc<Plan>> {
        self.kept.lock().flows.get(&id).cloned()
    }

    /// The plan of a run, with its overrides.
    #[must_use]
    pub fn plan(&self, run: RunId) -> Option<Arc<Plan>> {
        self.kept.lock().plan_of(run).cloned()
    }

    /// The run of this id.
    #[must_use]
    pub fn run(&self, run: RunId) -> Option<RunRow> {
        let kept = self.kept.lock();
        let row = kept.tree_of(run)?.rows.runs.get(&run)?.clone();
        let flow_name = kept.flows.get(&row.flow_id).and_then(|plan| plan.flow.name.clone());
        Some(RunRow { flow_name, ..row })
    }

    /// The items of a run, by index; none when there is no such run.
    #[must_use]
    pub fn items(&self, run: RunId) -> Vec<ItemRow> {
        let kept = self.kept.lock();
        let Some(tree) = kept.tree_of(run) else { return Vec::new() };
        let total = tree.rows.runs.get(&run).map_or(0, |row| row.items.total);
        (0..total).map(|item| tree.item(run, item)).collect()
    }

    /// The steps of an item of which something has happened, in the order of the flow.
    #[must_use]
    pub fn steps(&self, run: RunId, item: u32) -> Vec<StepRow> {
        let kept = self.kept.lock();
        let Some(tree) = kept.tree_of(run) else { return Vec::new() };
        let plan = kept.plan_of(run);
        let id_of = |step: u32| plan.and_then(|plan| Some(plan.steps.get(step as usize)?.id.clone()));
        let of_item = tree.rows.steps.iter().filter(|(at, _)| at.run == run && at.item == item);
        of_item
            .map(|(at, step)| StepRow {
                step: at.step,
                step_id: id_of(at.step).unwrap_or_default(),
                status: step.status,
                attempts: step.attempts,
                error: step.error.clone(),
                scheduled_at: step.scheduled_at,
                ended_at: step.ended_at,
            })
            .collect()
    }

    fn insert(&self, new: NewRun) {
        let mut kept = self.kept.lock();
        // Under its id a flow is what its author wrote; overrides are a run's own.
        let flow = new.plan.without_overrides();
        kept.flows.entry(flow.flow_id).or_insert(flow);
        let plans = HashMap::from([(new.root, new.plan)]);
        let tree = Tree { plans, inputs: new.inputs, journal: Vec::new(), rows: Rows::default() };
        kept.trees.insert(new.root, tree);
        kept.extend(new.root, new.records, self.options.keep_finished);
    }
}

impl Kept {
    fn tree_of(&self, run: RunId) -> Option<&Tree> {
        self.trees.get(self.roots.get(&run).unwrap_or(&run))
    }

    fn plan_of(&self, run: RunId) -> Option<&Arc<Plan>> {
        let tree = self.tree_of(run)?;
        tree.plans.get(&run).or_else(|| self.flows.get(&tree.rows.runs.get(&run)?.flow_id))
    }

    fn extend(&mut self, root: RunId, records: Vec<Record>, keep_finished: usize) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let mut ended = false;
        for record in records {
            if let Event::RunCreated(created) = &record.event
                && created.run != root
            {
                self.roots.insert(created.run, root);
                let flow = created.overrides.as_ref().zip(self.flows.get(&created.flow_id));
                if let Some(Ok(plan)) = flow.map(|(overrides, flow)| flow.with_overrides(overrides)) {
                    tree.plans.insert(created.run, Arc::new(plan));
                }
            }
            ended |= matches!(&record.event, Event::RunEnded(end) if end.run == root);
            tree.rows.apply(&record);
            tree.journal.push(record);
        }
        if ended {
            self.finished.push_back(root);
        }
        while self.finished.len() > keep_finished {
            if let Some(oldest) = self.finished.pop_front() {
                self.trees.remove(&oldest);
                self.roots.retain(|_, root| *root != oldest);
            }
        }
    }
}

impl Tree {
    fn item(&self, run: RunId, item: u32) -> ItemRow {
        let Some(end) = self.rows.items.get(&(run, item)) else {
            return ItemRow { item, status: ExecutionStatus::Running, result: None, ended_at: None };
        };
        let result = match &end.result {
            Outcome::Failed(error) => Some(FlowResult::Failed(error.clone())),
            Outcome::Success(place) => self.value(place).map(FlowResult::Success),
        };
        ItemRow { item, status: end.status, result, ended_at: Some(end.at) }
    }

    /// The inputs of a sub-run stand in its first event.
    fn sub_run_inputs(&self, run: RunId) -> Option<&Value> {
        self.journal.iter().find_map(|record| match &record.event {
            Event::RunCreated(created) if created.run == run => created.inline_inputs(),
            _ => None,
        })
    }

    fn value(&self, place: &ValueRef) -> Option<Value> {
        match place {
            ValueRef::Inline(value) => Some(value.clone()),
            ValueRef::Item(run, item) => match self.sub_run_inputs(*run) {
                Some(inputs) => inputs.elements().into_iter().nth(*item as usize),
                None => self.inputs.get(*item as usize).cloned(),
            },
            // Sequences are dense and begin with 1.
            ValueRef::Row(seq) => match &self.journal.get((*seq as usize).checked_sub(1)?)?.event {
                Event::AttemptEnded(ended) => match &ended.payload {
                    Some(ValueRef::Inline(value)) => Some(value.clone()),
                    _ => None,
                },
                _ => None,
            },
            ValueRef::Blob(_) => None,
        }
    }
}

fn done<T: Send + 'static>(result: Result<T, StoreError>) -> BoxFuture<'static, Result<T, StoreError>> {
    ready(result).boxed()
}

fn no_run(root: RunId) -> StoreError {
    StoreError::NotFound { what: "run", id: root.to_string() }
}

impl Journal for MemoryStore {
    fn create(&self, run: NewRun) -> BoxFuture<'static, Result<(), StoreError>> {
        self.insert(run);
        done(Ok(()))
    }

    fn keep_flow(&self, plan: Arc<Plan>) {
        self.put_flow(plan);
    }

    fn append(&self, root: RunId, records: Vec<Record>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.kept.lock().extend(root, records, self.options.keep_finished);
        done(Ok(()))
    }

    fn read(&self, root: RunId, after_seq: u64) -> BoxFuture<'static, Result<Vec<Record>, StoreError>> {
        let kept = self.kept.lock();
        let after = usize::try_from(after_seq).unwrap_or(usize::MAX);
        let records = kept.trees.get(&root).map(|tree| tree.journal.get(after..).unwrap_or_default().to_vec());
        done(records.ok_or_else(|| no_run(root)))
    }

    fn value(&self, root: RunId, place: &ValueRef) -> BoxFuture<'static, Result<Value, StoreError>> {
        let kept = self.kept.lock();
        let value = match place {
            ValueRef::Blob(id) => {
                let stored = kept.blobs.get(id).map(|blob| blob.data.clone());
                let flow = || kept.flows.get(id).and_then(|plan| Value::parse(plan.flow.canonical()).ok());
                stored.or_else(flow)
            }
            _ => kept.trees.get(&root).and_then(|tree| tree.value(place)),
        };
        done(value.ok_or_else(|| match place {
            ValueRef::Blob(id) => StoreError::NotFound { what: "blob", id: id.to_string() },
            _ => no_run(root),
        }))
    }
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
