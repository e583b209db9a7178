//! The plans of one tree: of flows as their authors wrote them, and with the overrides of runs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use stepflow_flow::Plan;
use stepflow_protocol::{FlowId, Value};

/// The compiled plans of a tree.
#[derive(Default)]
pub(super) struct Plans {
    flows: HashMap<FlowId, Arc<Plan>>,
    /// By flow and by the overrides' text. Made when they are asked for, of what a journal says of a run.
    patched: RefCell<HashMap<(FlowId, String), Arc<Plan>>>,
}

impl Plans {
    /// Keeps a flow as its author wrote it.
    pub fn add(&mut self, plan: Arc<Plan>) {
        self.flows.insert(plan.flow_id, plan);
    }

    /// The plan of a run of this flow with these overrides.
    pub fn get(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>> {
        let plan = self.flows.get(&flow)?;
        let Some(overrides) = overrides else { return Some(Arc::clone(plan)) };
        let key = (flow, overrides.as_str().to_owned());
        if let Some(patched) = self.patched.borrow().get(&key) {
            return Some(Arc::clone(patched));
        }
        let patched = Arc::new(plan.with_overrides(overrides).ok()?);
        self.patched.borrow_mut().insert(key, Arc::clone(&patched));
        Some(patched)
    }
}
