//! The surroundings of a machine: a clock that is moved by hand, and a memory that forgets.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use stepflow_engine::event::{AttemptEnded, Control, Event, ItemEnded, Outcome, Record, Route, StepEnded, ValueRef};
use stepflow_engine::machine::{Content, Rules, RunTree, Surroundings};
use stepflow_engine::ports::{Purity, Target};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{BlobId, ErrorKind, FlowError, FlowId, RunId, Value};
use uuid::Uuid;

/// The place of a value that is not the value itself: a row, or an item of a run.
pub type ValueKey = (Option<RunId>, u64);

pub fn place_of(reference: &ValueRef) -> ValueKey {
    match reference {
        ValueRef::Row(seq) => (None, *seq),
        ValueRef::Item(run, item) => (Some(*run), u64::from(*item)),
        ValueRef::Inline(_) | ValueRef::Blob(_) => panic!("{reference:?} names no place"),
    }
}

pub struct TestSurroundings {
    pub now: Timestamp,
    pub ids: u128,
    pub rules: Rules,
    /// Every flow, as a store has them.
    pub flows: HashMap<FlowId, Arc<Plan>>,
    /// The flows in memory.
    pub plans: HashMap<FlowId, Arc<Plan>>,
    /// The values in memory.
    pub values: HashMap<ValueKey, Value>,
    /// The inputs of the runs that were decided and not yet appended.
    pub inputs: HashMap<RunId, Vec<Value>>,
    /// How often a value, a flow or a component was requested.
    pub asked: Cell<u64>,
}

impl TestSurroundings {
    /// One that has these flows.
    pub fn with(flows: HashMap<FlowId, Arc<Plan>>) -> Self {
        Self {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            ids: 1,
            rules: Rules::default(),
            plans: flows.clone(),
            flows,
            values: HashMap::new(),
            inputs: HashMap::new(),
            asked: Cell::new(0),
        }
    }

    pub fn keep(&mut self, place: ValueKey, value: &Value) {
        self.values.insert(place, value.clone());
    }

    /// Nothing is in memory any more.
    pub fn forget(&mut self) {
        self.values.clear();
        self.plans.clear();
    }
}

impl Surroundings for TestSurroundings {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        // The last byte is the shard's.
        Uuid::from_u128(self.ids << 8)
    }

    fn random(&mut self) -> f64 {
        0.5
    }

    fn resolve(&mut self, path: &str, input: &Value) -> Result<Target, FlowError> {
        self.asked.update(|asked| asked + 1);
        if path == "/t/nowhere" {
            return Err(FlowError::new(ErrorKind::ComponentNotFound, "nothing serves it"));
        }
        if path == "/t/picky" {
            return Err(FlowError::new(ErrorKind::InvalidInput, format!("{} does not fit", input.as_str())));
        }
        match path {
            "/t/map" => return Ok(Target::SubFlow(Control::Map)),
            "/t/eval" => return Ok(Target::SubFlow(Control::Eval)),
            "/t/iterate" => return Ok(Target::SubFlow(Control::Iterate)),
            "/t/sleep" => return Ok(Target::Timer),
            _ => {}
        }
        let route = Route { plugin: "t".into(), component: path.trim_start_matches("/t").into() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn value(&self, place: &ValueRef) -> Option<Value> {
        self.asked.update(|asked| asked + 1);
        match place {
            ValueRef::Inline(value) => Some(value.clone()),
            place => self.values.get(&place_of(place)).cloned(),
        }
    }

    fn content(&self, _: BlobId) -> Content {
        Content::Absent
    }

    fn inputs(&mut self, run: RunId, inputs: Vec<Value>) {
        for (item, input) in (0_u64..).zip(&inputs) {
            self.keep((Some(run), item), input);
        }
        self.inputs.insert(run, inputs);
    }

    fn decided(&mut self, _: &RunTree, record: &Record) {
        if let Some(value) = row(record) {
            self.keep((None, record.seq), value);
        }
    }

    fn sub_plan(&mut self, document: &Value) -> Result<Arc<Plan>, FlowError> {
        let flow = load(Source::json("sub.json", document.as_str())).flow.expect("a valid sub-flow");
        let plan = Arc::new(Plan::compile(flow).unwrap());
        self.flows.insert(plan.flow_id, Arc::clone(&plan));
        self.plans.insert(plan.flow_id, Arc::clone(&plan));
        Ok(plan)
    }

    fn plan(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>> {
        self.asked.update(|asked| asked + 1);
        let plan = self.plans.get(&flow)?;
        Some(overrides.map_or_else(|| Arc::clone(plan), |overrides| Arc::new(plan.with_overrides(overrides).unwrap())))
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// The value that a row of the journal holds.
pub fn row(record: &Record) -> Option<&Value> {
    match &record.event {
        Event::AttemptEnded(AttemptEnded { payload: Some(ValueRef::Inline(value)), .. })
        | Event::StepEnded(StepEnded { result: Outcome::Success(ValueRef::Inline(value)), .. })
        | Event::ItemEnded(ItemEnded { result: Outcome::Success(ValueRef::Inline(value)), .. }) => Some(value),
        _ => None,
    }
}
