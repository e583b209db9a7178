//! All that a decision needs and that is not in the state.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stepflow_flow::{Backoff, Plan, StepIndex};
use stepflow_protocol::{FlowError, FlowId, RunId, Value};
use uuid::Uuid;

use super::{Frontier, Values, Waiting};
use crate::event::ValueRef;
use crate::ports::Target;

/// What the driver lends to `decide`.
pub struct Given<'a> {
    /// What can be scheduled next: derived from the state, kept because deriving it anew costs the whole flow.
    pub frontier: &'a mut Frontier,
    /// The values in memory.
    pub values: &'a Values,
    /// The attempts that hold no slot because they wait for runs.
    pub waiting: &'a Waiting,
    /// Time, ids, chance, routes and plans.
    pub world: &'a mut dyn Surroundings,
}

/// Where time, ids, chance, routes and plans come from.
pub trait Surroundings {
    /// Now.
    fn now(&self) -> Timestamp;

    /// A new UUIDv7.
    fn new_id(&mut self) -> Uuid;

    /// A random number from 0 up to 1.
    fn random(&mut self) -> f64;

    /// Where the component of this path is; no I/O. A step whose target is undecided is asked for again with the next
    /// input.
    ///
    /// # Errors
    /// When nothing serves it, or when the input does not fit it.
    fn resolve(&mut self, path: &str, input: &Value) -> Result<Target, FlowError>;

    /// The plan of this document, from now on also known by its id.
    ///
    /// # Errors
    /// When the document is not a flow.
    fn sub_plan(&mut self, document: &Value) -> Result<Arc<Plan>, FlowError>;

    /// The plan of this flow with these overrides.
    fn plan(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>>;

    /// The server's settings.
    fn rules(&self) -> &Rules;
}

/// The server's settings that decisions depend on.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How often a step goes out again because its worker was lost.
    pub transport_max_retries: u32,
    /// The wait before a retry where the flow states none.
    pub backoff: Backoff,
}

impl Default for Rules {
    fn default() -> Self {
        Self { transport_max_retries: 3, backoff: Backoff::default() }
    }
}

impl Rules {
    /// The wait before this retry, counted from 1.
    pub(super) fn wait(&self, backoff: Option<&Backoff>, retry: u32, random: f64) -> Duration {
        backoff.unwrap_or(&self.backoff).delay(retry, random)
    }
}

/// These values have to be in memory before the decision can be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing(pub Vec<ValueRef>);

/// The place of a step in its flow, as events write it.
pub(super) fn numbered(step: StepIndex) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX)
}

/// The run that an event names is not in the state, or its flow's plan is not there: our own mistake.
pub(super) fn plan_of(world: &dyn Surroundings, state: &super::RunTree, run: RunId) -> Option<Arc<Plan>> {
    let run = state.runs.get(&run)?;
    world.plan(run.flow_id, run.overrides.as_ref())
}
