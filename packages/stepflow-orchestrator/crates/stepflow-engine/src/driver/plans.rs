//! The plans of one tree: of flows as their authors wrote them, and with the overrides of runs.

use std::collections::HashMap;
use std::sync::Arc;

use stepflow_flow::Plan;
use stepflow_protocol::{FlowId, Value};

/// See the module.
#[derive(Default)]
pub(super) struct Plans {
    flows: HashMap<FlowId, Arc<Plan>>,
    /// By flow and by the overrides' text.
    patched: HashMap<(FlowId, String), Arc<Plan>>,
}

impl Plans {
    /// Keeps the plan of a run with these overrides.
    pub fn add(&mut self, plan: Arc<Plan>, overrides: Option<&Value>) {
        match overrides {
            None => drop(self.flows.insert(plan.flow_id, plan)),
            Some(overrides) => drop(self.patched.insert((plan.flow_id, overrides.as_str().to_owned()), plan)),
        }
    }

    /// The plan of a run of this flow with these overrides.
    pub fn get(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>> {
        match overrides {
            None => self.flows.get(&flow).cloned(),
            Some(overrides) => self.patched.get(&(flow, overrides.as_str().to_owned())).cloned(),
        }
    }
}
