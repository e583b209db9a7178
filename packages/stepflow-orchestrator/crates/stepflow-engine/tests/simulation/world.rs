//! A world in which components answer in any order, and whose clock is moved by hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use stepflow_engine::event::{Control, Event, Outcome, Record, Route, RunCreated, StepRef, TaskRef, ValueRef};
use stepflow_engine::machine::{Effect, Input, Machine, Missing, Rules, Surroundings, owed_between};
use stepflow_engine::ports::{Answer, Lost, Purity, Target};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{ErrorKind, FlowError, FlowId, RunId, Value};
use uuid::Uuid;

use super::calls::{self, Caller};
use super::flows::Case;
use super::naive;

struct World {
    now: Timestamp,
    ids: u128,
    plans: HashMap<FlowId, Arc<Plan>>,
    rules: Rules,
}

impl Surroundings for World {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    fn random(&mut self) -> f64 {
        0.5
    }

    fn resolve(&mut self, path: &str, _: &Value) -> Result<Target, FlowError> {
        if path == "/t/nowhere" {
            return Err(FlowError::new(ErrorKind::ComponentNotFound, "nothing serves it"));
        }
        match path {
            "/t/map" => return Ok(Target::SubFlow(Control::Map)),
            "/t/iterate" => return Ok(Target::SubFlow(Control::Iterate)),
            "/t/sleep" => return Ok(Target::Timer),
            _ => {}
        }
        let route = Route { plugin: "t".into(), component: path.trim_start_matches("/t").into() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn sub_plan(&mut self, document: &Value) -> Result<Arc<Plan>, FlowError> {
        let flow = load(Source::json("sub.json", document.as_str())).flow.expect("a valid sub-flow");
        let plan = Arc::new(Plan::compile(flow).unwrap());
        self.plans.insert(plan.flow_id, Arc::clone(&plan));
        Ok(plan)
    }

    fn plan(&self, flow: FlowId, overrides: Option<&Value>) -> Option<Arc<Plan>> {
        let plan = self.plans.get(&flow)?;
        Some(overrides.map_or_else(|| Arc::clone(plan), |overrides| Arc::new(plan.with_overrides(overrides).unwrap())))
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// A machine, what it has decided, and what the world owes it.
pub struct Simulation {
    pub root: RunId,
    pub machine: Machine,
    pub appends: Vec<Vec<Record>>,
    pub most_open: u32,
    /// Workers that wait for a run that they asked for.
    pub callers: BTreeMap<TaskRef, Caller>,
    world: World,
    flow_id: FlowId,
    inputs: Vec<Value>,
    choices: Vec<usize>,
    chosen: usize,
    carried: u64,
    offers: BTreeMap<TaskRef, (Route, Value)>,
    wakes: Vec<(Timestamp, StepRef)>,
    deadlines: Vec<(Timestamp, RunId)>,
    /// Attempts that end only when they are told to.
    stuck: BTreeSet<TaskRef>,
}

impl Simulation {
    /// A run of the case, submitted.
    pub fn submitted(case: &Case) -> Self {
        Self::overridden(case, None)
    }

    /// The same with overrides.
    pub fn overridden(case: &Case, overrides: Option<Value>) -> Self {
        let mut simulation = Self::around(case, Machine::new);
        let created = RunCreated {
            run: simulation.root,
            root: simulation.root,
            parent: None,
            parent_run: None,
            key: None,
            nested: None,
            flow_id: simulation.flow_id,
            items: u32::try_from(case.inputs.len()).unwrap(),
            inputs: None,
            variables: None,
            overrides,
            limit: case.limit,
            deadline_at: None,
            semantics: 1,
        };
        simulation.tell(Input::Submitted(Box::new(created)));
        simulation
    }

    /// The same run after a crash, of which these appends were durable.
    pub fn recovered(case: &Case, appends: &[Vec<Record>]) -> Self {
        let mut simulation = Self::around(case, |root| Machine::recovered(root, appends.iter().flatten()));
        simulation.appends = appends.to_vec();
        // What a store would have kept beside the journal: the flows of sub-runs.
        let documents: Vec<Value> = appends
            .iter()
            .flatten()
            .filter_map(|record| match &record.event {
                Event::RunCreated(created) => {
                    let input = simulation.stored(&created.nested.as_ref()?.step_input);
                    input.field("workflow").or_else(|| input.field("flow"))
                }
                _ => None,
            })
            .collect();
        documents.iter().for_each(|document| drop(simulation.world.sub_plan(document)));
        simulation.world.ids = 1_000_000 + u128::from(simulation.machine.state().seq) * 1_000;
        simulation
    }

    fn around(case: &Case, machine: impl FnOnce(RunId) -> Machine) -> Self {
        let loaded = load(Source::json("random.json", case.flow.to_string()));
        let flow = loaded.flow.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let plan = Arc::new(Plan::compile(flow).unwrap());
        let root = RunId::from_uuid(Uuid::from_u128(1));
        let called = calls::FLOWS.iter().map(|(_, flow)| calls::plan(&flow()));
        let plans = called.chain([Arc::clone(&plan)]).map(|plan| (plan.flow_id, plan)).collect();
        Self {
            root,
            machine: machine(root),
            appends: Vec::new(),
            most_open: 0,
            callers: BTreeMap::new(),
            world: World { now: "2026-01-01T00:00:00Z".parse().unwrap(), ids: 1, plans, rules: Rules::default() },
            flow_id: plan.flow_id,
            inputs: case.inputs.iter().map(Value::from_json).collect(),
            choices: case.choices.clone(),
            chosen: 0,
            carried: 0,
            offers: BTreeMap::new(),
            wakes: Vec::new(),
            deadlines: Vec::new(),
            stuck: BTreeSet::new(),
        }
    }

    /// Gives the machine an input, loads what it misses, and takes what it owes.
    pub fn tell(&mut self, input: Input) {
        let mut next = input;
        let records = loop {
            match self.machine.apply(next, &mut self.world) {
                Ok(records) => break records,
                Err(Missing(places)) => {
                    assert!(!places.is_empty(), "something is missing, but nothing is named");
                    for place in places {
                        let value = self.stored(&place);
                        self.machine.values().insert(&place, value);
                    }
                    next = Input::Continue;
                }
            }
        };
        if !records.is_empty() {
            self.appends.push(records);
        }
        let upto = self.machine.state().seq;
        let owed: Vec<Effect> = owed_between(self.machine.state(), self.carried, upto).cloned().collect();
        self.carried = upto;
        self.most_open = self.most_open.max(self.machine.state().open - self.machine.waiting().total());
        owed.into_iter().for_each(|effect| self.carry(effect));
    }

    fn carry(&mut self, effect: Effect) {
        match effect {
            Effect::Offer { task, route, .. } if route.component == "/stuck" => drop(self.stuck.insert(task)),
            Effect::Offer { task, route, input, .. } => {
                let value = self.machine.values().get(&input).unwrap_or_else(|| self.stored(&input));
                self.offers.insert(task, (route, value));
            }
            Effect::Wake { step, due_at } => self.wakes.push((due_at, step)),
            Effect::Deadline { run, due_at } => self.deadlines.push((due_at, run)),
            Effect::Cancel { task, route } if self.stuck.remove(&task) => {
                self.offers.insert(task, (route, Value::null()));
            }
            Effect::Cancel { .. } => {}
        }
    }

    pub fn stored(&self, place: &ValueRef) -> Value {
        match place {
            ValueRef::Inline(value) => value.clone(),
            ValueRef::Item(run, item) if *run == self.root => self.inputs[*item as usize].clone(),
            ValueRef::Item(run, item) => {
                let created = self.journal().find_map(|record| match &record.event {
                    Event::RunCreated(created) if created.run == *run => created.inline_inputs(),
                    _ => None,
                });
                created.expect("the sub-run is durable").elements()[*item as usize].clone()
            }
            ValueRef::Row(seq) => {
                // Not yet appended rows are in memory; a machine that asks for one of them has lost it.
                let record = self.journal().find(|record| record.seq == *seq).expect("the row is durable");
                match &record.event {
                    Event::AttemptEnded(ended) => match &ended.payload {
                        Some(ValueRef::Inline(value)) => value.clone(),
                        other => panic!("{other:?}"),
                    },
                    other => panic!("{other:?}"),
                }
            }
            ValueRef::Blob(_) => panic!("no blobs here"),
        }
    }

    /// A new id.
    pub fn draw(&mut self) -> Uuid {
        self.world.new_id()
    }

    fn choose(&mut self, among: usize) -> usize {
        self.chosen += 1;
        self.choices[self.chosen % self.choices.len()] % among
    }

    /// Lets one thing happen in the world. False when nothing can.
    fn happen(&mut self) -> bool {
        self.world.now = self.world.now.checked_add(SignedDuration::from_millis(1)).unwrap();
        if self.choose(7) == 6 {
            self.machine.values().clear();
        }
        let returned = self.returned();
        let events = self.offers.len() + returned.len() + self.wakes.len() + self.deadlines.len();
        if events == 0 {
            return false;
        }
        let choice = self.choose(events);
        if let Some(task) = self.offers.keys().nth(choice).copied() {
            let (route, input) = self.offers.remove(&task).unwrap();
            match calls::called(&route.component) {
                Some(flow) => self.call(task, &route.component, &flow, &input),
                None => self.tell(Input::Answered(task, answer(&route.component, &input, task.attempt), None)),
            }
            return true;
        }
        let choice = choice - self.offers.len();
        if let Some(task) = returned.get(choice) {
            self.return_to(*task);
            return true;
        }
        let choice = choice - returned.len();
        if choice < self.wakes.len() {
            let (due_at, step) = self.wakes.swap_remove(choice);
            self.world.now = self.world.now.max(due_at);
            self.tell(Input::Due(step));
        } else {
            let (due_at, run) = self.deadlines.swap_remove(choice - self.wakes.len());
            self.world.now = self.world.now.max(due_at);
            self.tell(Input::DeadlineReached(run));
        }
        true
    }

    /// Lets this many things happen.
    pub fn advance(&mut self, steps: usize) {
        for _ in 0..steps {
            self.happen();
        }
    }

    /// Lets things happen until nothing can.
    pub fn finish(&mut self) {
        let mut left = 10_000;
        while self.happen() {
            left -= 1;
            assert!(left > 0, "the run does not come to an end");
        }
        assert!(self.machine.state().is_ended(), "nothing can happen, and the run has not ended");
        assert_eq!(self.machine.state().open, 0);
    }

    pub fn journal(&self) -> impl Iterator<Item = &Record> {
        self.appends.iter().flatten()
    }

    /// The outcome of each item that has ended.
    pub fn results(&self) -> Vec<naive::Outcome> {
        let mut ended: Vec<_> = self
            .journal()
            .filter_map(|record| match &record.event {
                Event::ItemEnded(ended) if ended.run == self.root => Some((ended.item, &ended.result)),
                _ => None,
            })
            .collect();
        ended.sort_by_key(|(item, _)| *item);
        ended
            .into_iter()
            .map(|(_, result)| match result {
                Outcome::Success(place) => naive::Outcome::Success(self.stored(place).to_json().unwrap()),
                Outcome::Failed(error) => {
                    let own =
                        if error.kind == ErrorKind::ComponentFailed { error.message.clone() } else { String::new() };
                    naive::Outcome::Failed(error.kind.name().into(), own)
                }
            })
            .collect()
    }

    /// A member of the first item's error data.
    pub fn error_data(&self, name: &str) -> Json {
        let error = self.journal().find_map(|record| match &record.event {
            Event::ItemEnded(ended) => match &ended.result {
                Outcome::Failed(error) => Some(error),
                Outcome::Success(_) => None,
            },
            _ => None,
        });
        error.and_then(|error| error.data.as_ref()?.field(name)).map_or(json!(null), |value| value.to_json().unwrap())
    }

    /// The places of the steps that got an attempt, in order.
    pub fn scheduled_steps(&self) -> Vec<u32> {
        self.journal()
            .filter_map(|record| match &record.event {
                Event::StepScheduled(scheduled) => Some(scheduled.step.step),
                _ => None,
            })
            .collect()
    }
}

/// How the component of this name behaves.
fn answer(component: &str, input: &Value, attempt: u32) -> Answer {
    let wrapped = || Answer::Success(Value::object([("got", input.clone())]));
    let failed = |message: String| Answer::Failed(FlowError::new(ErrorKind::ComponentFailed, message).into());
    match component {
        "/echo" => Answer::Success(input.clone()),
        "/stuck" => Answer::Cancelled,
        "/null" => Answer::Success(Value::null()),
        "/fail" => failed(format!("boom {}", input.to_json().unwrap())),
        "/twice" if attempt == 1 => failed("not yet".into()),
        "/lost" if attempt == 1 => Answer::Lost(Lost {
            error: FlowError::new(ErrorKind::Unreachable, "gone"),
            spends: true,
            back_off: false,
            suspects: 0,
        }),
        _ => wrapped(),
    }
}
