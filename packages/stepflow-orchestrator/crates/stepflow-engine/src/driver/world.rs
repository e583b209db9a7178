//! What the driver lends to its machines: time, ids, chance, routes, plans.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use stepflow_flow::{Level, Plan, Source, load};
use stepflow_protocol::{ErrorKind, FlowError, FlowId, Value};
use uuid::Uuid;

use super::plans::Plans;
use crate::engine::Ports;
use crate::machine::{Rules, Surroundings};
use crate::ports::Target;

/// The supply of ids: UUIDv7 by the engine's clock, ascending within a millisecond.
#[derive(Default)]
pub(super) struct Ids(uuid::ContextV7);

impl Ids {
    pub fn draw(&mut self, now: Timestamp) -> Uuid {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.0, seconds, nanoseconds))
    }
}

/// See [`Surroundings`].
pub(super) struct World<'a> {
    pub ports: &'a Ports,
    pub rules: &'a Rules,
    pub plans: &'a mut Plans,
    pub ids: &'a mut Ids,
    /// The paths that lead nowhere yet.
    pub undecided: BTreeSet<String>,
}

impl Surroundings for World<'_> {
    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    fn new_id(&mut self) -> Uuid {
        self.ids.draw(self.ports.clock.now())
    }

    fn random(&mut self) -> f64 {
        // The last 32 bits of a UUIDv7 are random.
        let id = self.new_id();
        let (_, _, _, tail) = id.as_fields();
        let bits = u32::from_be_bytes([tail[4], tail[5], tail[6], tail[7]]);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    fn resolve(&mut self, path: &str, input: &Value) -> Result<Target, FlowError> {
        let target = self.ports.host.resolve(path, input);
        if target == Ok(Target::Undecided) {
            self.undecided.insert(path.to_owned());
        }
        target
    }

    fn sub_plan(&mut self, document: &Value) -> Result<Arc<Plan>, FlowError> {
        let loaded = load(Source::json("sub-flow", document.as_str()));
        let plan = loaded.flow.ok_or(loaded.diagnostics).and_then(Plan::compile).map_err(|diagnostics| {
            let first = diagnostics.iter().find(|diagnostic| diagnostic.level == Level::Fatal);
            let why = first.map_or_else(String::new, |first| format!("{} at `{}`", first.message, first.path));
            FlowError::new(ErrorKind::InvalidInput, format!("the sub-flow cannot run: {why}"))
        })?;
        if let Some(known) = self.plans.get(plan.flow_id, None) {
            return Ok(known);
        }
        let plan = Arc::new(plan);
        self.ports.journal.keep_flow(Arc::clone(&plan));
        self.plans.add(Arc::clone(&plan));
        Ok(plan)
    }

    fn plan(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>> {
        self.plans.get(flow, overrides)
    }

    fn rules(&self) -> &Rules {
        self.rules
    }
}
