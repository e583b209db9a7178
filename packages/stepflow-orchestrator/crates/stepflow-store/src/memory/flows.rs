//! The flows of the store in memory: those that were stored by themselves, and those of the runs that are kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use stepflow_flow::Plan;
use stepflow_protocol::FlowId;

#[derive(Debug, Default)]
pub(super) struct KeptFlows {
    flows: HashMap<FlowId, KeptFlow>,
    /// The flows by the times at which they were first stored.
    times: BTreeSet<(Timestamp, FlowId)>,
}

#[derive(Debug)]
struct KeptFlow {
    plan: Arc<Plan>,
    at: Timestamp,
    /// How many runs are made of it.
    runs: usize,
    /// Whether it was stored by itself. Otherwise it goes with the last of its runs.
    stored: bool,
}

impl KeptFlows {
    pub fn get(&self, id: FlowId) -> Option<&Arc<Plan>> {
        Some(&self.flows.get(&id)?.plan)
    }

    /// Keeps a flow of a run. If it is kept already, it stays unchanged.
    pub fn keep(&mut self, plan: &Arc<Plan>, at: Timestamp) {
        self.entry(plan, at);
    }

    /// Keeps a flow, whether there are runs of it or not.
    pub fn store(&mut self, plan: &Arc<Plan>, at: Timestamp) {
        self.entry(plan, at).stored = true;
    }

    fn entry(&mut self, plan: &Arc<Plan>, at: Timestamp) -> &mut KeptFlow {
        self.flows.entry(plan.flow_id).or_insert_with(|| {
            self.times.insert((at, plan.flow_id));
            // The flow under its id is as its author wrote it. Overrides belong to a run.
            KeptFlow { plan: plan.without_overrides(), at, runs: 0, stored: false }
        })
    }

    /// There is one more run of it.
    pub fn add_run(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.runs += 1;
        }
    }

    /// There is one run of it less.
    pub fn remove_run(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.runs = flow.runs.saturating_sub(1);
        }
        self.forget_unused(id);
    }

    /// Forgets a flow that nothing needs.
    pub fn forget_unused(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get(&id).filter(|flow| flow.runs == 0 && !flow.stored) {
            self.times.remove(&(flow.at, id));
            self.flows.remove(&id);
        }
    }

    /// The flows that come after this one, the newest first.
    pub fn newest(&self, after: Option<(Timestamp, FlowId)>) -> impl Iterator<Item = (Timestamp, FlowId, &Arc<Plan>)> {
        let older = self.times.iter().rev().filter(move |flow| after.is_none_or(|after| **flow < after));
        older.filter_map(|(at, id)| Some((*at, *id, self.get(*id)?)))
    }
}
