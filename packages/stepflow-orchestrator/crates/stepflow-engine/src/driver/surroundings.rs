//! What the driver lends to its machines: time, ids, random numbers, routes, values, plans.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use stepflow_flow::{Level, Plan, Source, load};
use stepflow_protocol::{BlobId, ErrorKind, FlowError, FlowId, RunId, Value};
use uuid::Uuid;

use super::memory::{AtHand, Plans, Values};
use crate::event::{Record, ValueRef};
use crate::machine::{Content, Rules, RunTree, Surroundings};
use crate::options::Ports;
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
pub(super) struct DriverSurroundings<'a> {
    pub root: RunId,
    pub ports: &'a Ports,
    pub rules: &'a Rules,
    pub values: &'a Values,
    pub at_hand: &'a mut AtHand,
    pub plans: &'a mut Plans,
    pub ids: &'a mut Ids,
    /// The inputs of the runs that were decided.
    pub inputs: HashMap<RunId, Vec<Value>>,
    /// The paths whose components are not known yet.
    pub undecided: BTreeSet<String>,
}

impl Surroundings for DriverSurroundings<'_> {
    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    fn new_id(&mut self) -> Uuid {
        self.ids.draw(self.ports.clock.now())
    }

    fn random(&mut self) -> f64 {
        // Of the last 64 bits of a UUIDv7, at least half are random.
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

    fn value(&self, place: &ValueRef) -> Option<Value> {
        match place {
            ValueRef::Inline(value) => Some(value.clone()),
            place => self.at_hand.get(place).or_else(|| self.values.get(self.root, place)),
        }
    }

    fn content(&self, id: BlobId) -> Content {
        if self.at_hand.is_absent(id) {
            return Content::Absent;
        }
        self.value(&ValueRef::Blob(id)).map_or(Content::Unknown, Content::Here)
    }

    fn inputs(&mut self, run: RunId, inputs: Vec<Value>) {
        for (item, input) in (0_u32..).zip(&inputs) {
            self.at_hand.add_input(run, item, input.clone());
        }
        self.inputs.insert(run, inputs);
    }

    fn decided(&mut self, _: &RunTree, record: &Record) {
        self.at_hand.keep(record);
    }

    fn sub_plan(&mut self, document: &Value) -> Result<Arc<Plan>, FlowError> {
        let loaded = load(Source::json("sub-flow", document.as_str()));
        let plan = loaded.flow.ok_or(loaded.diagnostics).and_then(Plan::compile).map_err(|diagnostics| {
            let first = diagnostics.iter().find(|diagnostic| diagnostic.level == Level::Fatal);
            let why = first.map_or_else(String::new, |first| format!("{} at `{}`", first.message, first.path));
            FlowError::new(ErrorKind::InvalidInput, format!("the sub-flow cannot run: {why}"))
        })?;
        Ok(self.plans.add(Arc::new(plan)))
    }

    fn plan(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>> {
        self.plans.get(flow, overrides)
    }

    fn rules(&self) -> &Rules {
        self.rules
    }
}
