//! Reads the store in memory.

use std::cmp::Reverse;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use stepflow_engine::attempts_of;
use stepflow_engine::event::{Record, StepRef, ValueRef};
use stepflow_engine::ports::{AttemptRow, FlowRow, Flows, ItemRow, Queries, RunFilter, RunRow, StepRow, StoreError};
use stepflow_flow::Plan;
use stepflow_protocol::{FlowId, RunId, Value};

use super::{Kept, MemoryStore, Tree, done};

impl MemoryStore {
    /// Keeps a flow under its id.
    pub fn put_flow(&self, plan: Arc<Plan>) {
        self.kept.lock().flows.store(&plan, Timestamp::now());
    }

    /// The flow of this id.
    #[must_use]
    pub fn flow(&self, id: FlowId) -> Option<Arc<Plan>> {
        self.kept.lock().flows.get(id).cloned()
    }

    /// The events of a tree so far.
    #[must_use]
    pub fn journal(&self, root: RunId) -> Option<Vec<Arc<Record>>> {
        self.kept.lock().trees.get(&root).map(|tree| tree.journal.clone())
    }

    /// The value in this place of a tree.
    #[must_use]
    pub fn value(&self, root: RunId, place: &ValueRef) -> Option<Value> {
        self.kept.lock().value(root, place)
    }

    /// The run of this id.
    #[must_use]
    pub fn run(&self, run: RunId) -> Option<RunRow> {
        self.kept.lock().run(run)
    }

    /// The items of a run, by index; none if the run does not exist.
    #[must_use]
    pub fn items(&self, run: RunId) -> Vec<ItemRow> {
        self.kept.lock().items(run, None, usize::MAX)
    }

    /// The steps of an item that have events, in the order of the flow.
    #[must_use]
    pub fn steps(&self, run: RunId, item: u32) -> Vec<StepRow> {
        self.kept.lock().steps(run, item)
    }
}

impl Kept {
    fn tree_of(&self, run: RunId) -> Option<&Tree> {
        self.trees.get(self.roots.get(&run).unwrap_or(&run))
    }

    fn plan_of(&self, run: RunId) -> Option<&Arc<Plan>> {
        let tree = self.tree_of(run)?;
        tree.plans.get(&run).or_else(|| self.flows.get(tree.rows.runs.get(&run)?.flow_id))
    }

    fn shown(&self, row: &RunRow) -> RunRow {
        let flow_name = self.flows.get(row.flow_id).and_then(|plan| plan.flow.name.clone());
        let row = RunRow { flow_name, ..row.clone() };
        let is_given_up = self.trees.get(&row.root).is_some_and(|tree| tree.given_up.is_some());
        if is_given_up { row.given_up() } else { row }
    }

    fn run(&self, run: RunId) -> Option<RunRow> {
        Some(self.shown(self.tree_of(run)?.rows.runs.get(&run)?))
    }

    fn runs(&self, filter: &RunFilter, after: Option<RunId>, most: usize) -> Vec<RunRow> {
        let all = self.trees.values().flat_map(|tree| tree.rows.runs.values());
        let mut rows: Vec<&RunRow> = all.filter(|row| after.is_none_or(|after| row.run < after)).collect();
        rows.sort_unstable_by_key(|row| Reverse(row.run));
        rows.into_iter().map(|row| self.shown(row)).filter(|row| filter.fits(row)).take(most).collect()
    }

    fn items(&self, run: RunId, after: Option<u32>, most: usize) -> Vec<ItemRow> {
        let Some(tree) = self.tree_of(run) else { return Vec::new() };
        let total = tree.rows.runs.get(&run).map_or(0, |row| row.items.total);
        let first = after.map_or(0, |after| after.saturating_add(1));
        (first..total).take(most).map(|item| tree.item(run, item)).collect()
    }

    fn steps(&self, run: RunId, item: u32) -> Vec<StepRow> {
        let Some(tree) = self.tree_of(run) else { return Vec::new() };
        let plan = self.plan_of(run);
        let id_of = |step: u32| plan.and_then(|plan| Some(plan.steps.get(step as usize)?.id.clone()));
        let at = |step| StepRef { run, item, step };
        let of_item = tree.rows.steps.range(at(0)..=at(u32::MAX));
        of_item
            .map(|(at, step)| StepRow {
                step: at.step,
                step_id: id_of(at.step).unwrap_or_default(),
                status: step.status,
                attempts: step.attempts,
                result: step.result.clone(),
                scheduled_at: step.scheduled_at,
                ended_at: step.ended_at,
            })
            .collect()
    }

    fn attempts(&self, step: StepRef) -> Vec<AttemptRow> {
        let journal = self.tree_of(step.run).map(|tree| tree.journal.as_slice());
        attempts_of(step, journal.unwrap_or_default().iter().map(AsRef::as_ref))
    }

    fn flows(&self, after: Option<(Timestamp, FlowId)>, most: usize) -> Vec<FlowRow> {
        let row = |(created_at, flow_id, plan): (Timestamp, FlowId, &Arc<Plan>)| {
            let (flow, version) = (&plan.flow, plan.flow.version.clone());
            let (name, description) = (flow.name.clone(), flow.description.clone());
            FlowRow { flow_id, name, description, version, created_at }
        };
        self.flows.newest(after).map(row).take(most).collect()
    }
}

impl Queries for MemoryStore {
    fn run(&self, run: RunId) -> BoxFuture<'static, Result<Option<RunRow>, StoreError>> {
        done(Ok(self.kept.lock().run(run)))
    }

    fn runs(
        &self,
        filter: RunFilter,
        after: Option<RunId>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<RunRow>, StoreError>> {
        done(Ok(self.kept.lock().runs(&filter, after, most)))
    }

    fn items(
        &self,
        run: RunId,
        after: Option<u32>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<ItemRow>, StoreError>> {
        done(Ok(self.kept.lock().items(run, after, most)))
    }

    fn steps(&self, run: RunId, item: u32) -> BoxFuture<'static, Result<Vec<StepRow>, StoreError>> {
        done(Ok(self.kept.lock().steps(run, item)))
    }

    fn attempts(&self, run: RunId, item: u32, step: u32) -> BoxFuture<'static, Result<Vec<AttemptRow>, StoreError>> {
        done(Ok(self.kept.lock().attempts(StepRef { run, item, step })))
    }

    fn plan(&self, run: RunId) -> BoxFuture<'static, Result<Option<Arc<Plan>>, StoreError>> {
        done(Ok(self.kept.lock().plan_of(run).cloned()))
    }

    fn flows(
        &self,
        after: Option<(Timestamp, FlowId)>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<FlowRow>, StoreError>> {
        done(Ok(self.kept.lock().flows(after, most)))
    }
}

impl Flows for MemoryStore {
    fn put(&self, plan: Arc<Plan>, at: Timestamp) -> BoxFuture<'static, Result<(), StoreError>> {
        self.kept.lock().flows.store(&plan, at);
        done(Ok(()))
    }
}
