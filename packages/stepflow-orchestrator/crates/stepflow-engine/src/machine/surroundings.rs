//! Everything that a decision needs and that is not in the tree: time, ids, random numbers, routes, values, plans,
//! settings.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stepflow_flow::{Backoff, Plan, StepIndex};
use stepflow_protocol::{BlobId, FlowError, FlowId, RunId, Value};
use uuid::Uuid;

use super::state::RunTree;
use crate::event::{Record, ValueRef};
use crate::ports::Target;

/// Provides time, ids, random numbers, routes, values and plans.
pub trait Surroundings {
    /// Now.
    fn now(&self) -> Timestamp;

    /// A new UUIDv7.
    fn new_id(&mut self) -> Uuid;

    /// A random number from 0 up to 1.
    fn random(&mut self) -> f64;

    /// Where the component of this path is, without I/O. If a step's target is undecided, it is asked for again with
    /// the next input.
    ///
    /// # Errors
    /// When no plugin serves it, or when the input does not fit it.
    fn resolve(&mut self, path: &str, input: &Value) -> Result<Target, FlowError>;

    /// The value in this place, if it is in memory.
    fn value(&self, place: &ValueRef) -> Option<Value>;

    /// The content of this id, if it is known.
    fn content(&self, id: BlobId) -> Content;

    /// Takes the inputs of a run that is about to be created.
    fn inputs(&mut self, run: RunId, inputs: Vec<Value>);

    /// Takes note of a decided event: its values can be used from now on.
    fn decided(&mut self, state: &RunTree, record: &Record);

    /// The plan of this document, from now on also known by its id.
    ///
    /// # Errors
    /// When the document is not a flow.
    fn sub_plan(&mut self, document: &Value) -> Result<Arc<Plan>, FlowError>;

    /// The plan of this flow with these overrides, if it is in memory.
    fn plan(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>>;

    /// The server's settings.
    fn rules(&self) -> &Rules;
}

/// The server's settings that decisions depend on.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How often a step is offered again because its worker was lost.
    pub transport_max_retries: u32,
    /// How many times in a row the server may crash while a worker has a step; 0 means that there is no limit.
    pub max_server_crashes: u32,
    /// The wait before a retry if the flow has none.
    pub backoff: Backoff,
}

impl Default for Rules {
    fn default() -> Self {
        Self { transport_max_retries: 3, max_server_crashes: 3, backoff: Backoff::default() }
    }
}

impl Rules {
    /// The wait before this retry, counted from 1.
    pub(super) fn wait(&self, backoff: Option<&Backoff>, retry: u32, random: f64) -> Duration {
        backoff.unwrap_or(&self.backoff).delay(retry, random)
    }
}

/// What is known of a content in the blob store.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// It was not looked for yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// Here it is.
    Here(Value),
}

/// What must be in memory before the decision can be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing(pub Vec<Need>);

/// What a decision needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    /// The value in this place.
    Value(ValueRef),
    /// A flow.
    Flow(FlowId),
}

/// The most needs that a decision names at once. More follow when these are in memory.
pub(super) const MOST_MISSING: usize = 1_000;

impl Missing {
    /// Adds what another decision needs. An empty list means that something is missing that does not exist, so it must
    /// not become a part of a list that can be loaded.
    ///
    /// # Errors
    /// The other list, if it is empty.
    pub(super) fn add(&mut self, other: Self) -> Result<(), Self> {
        if other.0.is_empty() {
            return Err(other);
        }
        self.0.extend(other.0);
        Ok(())
    }

    /// This value is missing.
    pub(super) fn value(place: ValueRef) -> Self {
        Self(vec![Need::Value(place)])
    }
}

/// What can be decided now. If nothing can, all that is missing: to ask for one value after the other would take as
/// many loads as there are values.
///
/// # Errors
/// [`Missing`] when nothing can be decided.
pub(super) fn those_known<T>(decisions: impl Iterator<Item = Result<T, Missing>>) -> Result<Vec<T>, Missing> {
    let (mut known, mut missing) = (Vec::new(), Missing(Vec::new()));
    for decision in decisions {
        match decision {
            Ok(decided) => known.push(decided),
            Err(needs) => missing.add(needs)?,
        }
        if missing.0.len() >= MOST_MISSING {
            break;
        }
    }
    if known.is_empty() && !missing.0.is_empty() { Err(missing) } else { Ok(known) }
}

/// The place of a step in its flow, as events write it.
pub(super) fn numbered(step: StepIndex) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX)
}

/// The plan of a run in the tree.
///
/// # Errors
/// [`Missing`] when it is not in memory.
pub(super) fn plan_of(world: &dyn Surroundings, state: &RunTree, run: RunId) -> Result<Arc<Plan>, Missing> {
    // If the run does not exist, this is a mistake of the server. Then nothing is requested, and the driver gives up
    // the tree.
    let run = state.runs.get(&run).ok_or(Missing(Vec::new()))?;
    world.plan(run.flow_id, run.overrides.as_ref()).ok_or_else(|| Missing(vec![Need::Flow(run.flow_id)]))
}
