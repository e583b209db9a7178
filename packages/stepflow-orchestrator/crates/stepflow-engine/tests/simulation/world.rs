//! A world in which components answer in any order, and whose clock is moved by hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use stepflow_engine::event::{Event, Outcome, OwnerChanged, Record, Route, RunCreated, StepRef, TaskRef, ValueRef};
use stepflow_engine::machine::{
    Applied, Effect, Input, Machine, Need, Rules, Surroundings as _, outstanding, owed_between,
};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{ErrorKind, FlowId, RunId, Value};
use uuid::Uuid;

use super::calls::{self, Caller};
use super::flows::Case;
use super::naive;
use super::surroundings::{TestSurroundings, place_of, row};

/// The durable events.
#[derive(Debug, Clone, Default)]
pub struct Append {
    pub records: Vec<Arc<Record>>,
    pub inputs: HashMap<RunId, Vec<Value>>,
}

/// A machine, what it has decided, and the effects that are due.
pub struct Simulation {
    pub root: RunId,
    pub machine: Machine,
    pub appends: Vec<Append>,
    pub most_open: u32,
    /// Workers that wait for a run that they asked for.
    pub callers: BTreeMap<TaskRef, Caller>,
    /// Those of them that need a slot to go on.
    pub returning: BTreeSet<TaskRef>,
    world: TestSurroundings,
    flow_id: FlowId,
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
        let (mut simulation, submitted) = Self::about_to_be(case, overrides);
        simulation.tell(submitted);
        simulation
    }

    /// A run of the case that is not submitted yet, and its submission.
    pub fn about_to_be(case: &Case, overrides: Option<Value>) -> (Self, Input) {
        let simulation = Self::around(case, Machine::new);
        let timeout = simulation.world.flows[&simulation.flow_id].timeout;
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
            deadline_at: timeout.map(|timeout| simulation.world.now.checked_add(timeout).unwrap()),
            semantics: 1,
        };
        let inputs = case.inputs.iter().map(Value::from_json).collect();
        (simulation, Input::Submitted(Box::new(created), inputs))
    }

    /// The same run after a crash. Only these appends were durable.
    pub fn recovered(case: &Case, appends: &[Append]) -> Self {
        let journal = appends.iter().flat_map(|append| &append.records).map(AsRef::as_ref);
        let mut simulation = Self::around(case, |root| Machine::recovered(root, journal));
        simulation.appends = appends.to_vec();
        // What a store would have stored besides the journal: the flows of sub-runs.
        let documents: Vec<Value> = simulation
            .journal()
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
        let flows: HashMap<_, _> = called.chain([Arc::clone(&plan)]).map(|plan| (plan.flow_id, plan)).collect();
        let world = TestSurroundings::with(flows);
        Self {
            root,
            machine: machine(root),
            appends: Vec::new(),
            most_open: 0,
            callers: BTreeMap::new(),
            returning: BTreeSet::new(),
            world,
            flow_id: plan.flow_id,
            choices: case.choices.clone(),
            chosen: 0,
            carried: 0,
            offers: BTreeMap::new(),
            wakes: Vec::new(),
            deadlines: Vec::new(),
            stuck: BTreeSet::new(),
        }
    }

    /// Gives the machine an input, loads what it misses, stores what it decides, and carries out the effects.
    pub fn tell(&mut self, input: Input) {
        let mut next = input;
        loop {
            let applied = self.machine.apply(next, &mut self.world);
            assert!(!applied.hangs, "something is missing, but nothing is named");
            if !applied.records.is_empty() {
                let inputs = std::mem::take(&mut self.world.inputs);
                self.appends.push(Append { records: applied.records, inputs });
            }
            for need in &applied.missing {
                self.load(need);
            }
            if applied.missing.is_empty() && !applied.more {
                break;
            }
            next = Input::Continue;
        }
        let upto = self.machine.state().seq;
        let owed: Vec<Effect> =
            owed_between(self.machine.state(), self.carried, upto).map(|(_, effect)| effect).collect();
        self.carried = upto;
        self.most_open = self.most_open.max(self.machine.state().open - self.machine.waiting().total());
        owed.into_iter().for_each(|effect| self.carry(effect));
        self.let_back();
    }

    /// Loads what is missing.
    pub fn load(&mut self, need: &Need) {
        match need {
            Need::Value(place) => {
                let value = self.stored(place);
                self.world.keep(place_of(place), &value);
            }
            Need::Flow(flow) => {
                let plan = Arc::clone(&self.world.flows[flow]);
                self.world.plans.insert(*flow, plan);
            }
        }
    }

    /// Drops the machine and makes it again from the journal. Everything outside stays as it is.
    pub fn rebuild(&mut self) {
        self.machine = Machine::recovered(self.root, self.journal());
        let callers: Vec<TaskRef> = self.callers.keys().copied().collect();
        callers.into_iter().for_each(|task| self.machine.waits(task));
        let returning: Vec<TaskRef> = self.returning.iter().copied().collect();
        returning.into_iter().for_each(|task| self.machine.waits_no_more(task));
        // Due times that were told and have had no effect yet are told again.
        self.wakes.clear();
        self.deadlines.clear();
        let due: Vec<Effect> = outstanding(self.machine.state()).map(|(_, effect)| effect).collect();
        let due = due.into_iter().filter(|effect| matches!(effect, Effect::Wake { .. } | Effect::Deadline { .. }));
        due.for_each(|effect| self.carry(effect));
    }

    fn carry(&mut self, effect: Effect) {
        match effect {
            Effect::Offer { task, route, .. } if route.component == "/stuck" => drop(self.stuck.insert(task)),
            Effect::Offer { task, route, input, .. } => {
                let value = self.stored(&input);
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
            ValueRef::Item(run, item) => {
                let inputs = self.appends.iter().find_map(|append| append.inputs.get(run));
                inputs.expect("the inputs of the run are durable")[*item as usize].clone()
            }
            ValueRef::Row(seq) => {
                // Rows that are not appended yet are in memory. A machine that asks for one of them has lost it.
                let record = self.journal().find(|record| record.seq == *seq).expect("the row is durable");
                row(record).unwrap_or_else(|| panic!("{:?} holds no value", record.event)).clone()
            }
            ValueRef::Blob(_) => panic!("no blobs here"),
        }
    }

    /// The machine takes one input. What it decides is stored, at most one append.
    pub fn tell_once(&mut self, input: Input) -> Applied {
        let applied = self.machine.apply(input, &mut self.world);
        let inputs = std::mem::take(&mut self.world.inputs);
        self.appends.push(Append { records: applied.records.clone(), inputs });
        applied
    }

    /// The time of the root run is over.
    pub fn out_of_time(&mut self) -> Applied {
        self.world.now = self.machine.state().runs[&self.root].deadline_at.unwrap();
        self.tell_once(Input::DeadlineReached(self.root))
    }

    /// Only the machine is in memory any more.
    pub fn forget(&mut self) {
        self.world.forget();
    }

    /// How often a value, a flow or a component was requested.
    pub fn asked(&self) -> u64 {
        self.world.asked.get()
    }

    /// The server's settings.
    pub fn rules(&mut self) -> &mut Rules {
        &mut self.world.rules
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
            self.world.forget();
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
                None => self.tell(Input::Answered(task, calls::answer(&route.component, &input, task.attempt), None)),
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

    /// Lets things happen until nothing can. Before some of them the machine is made again.
    pub fn finish_with(&mut self, rebuilds: &[bool]) {
        for rebuild in rebuilds.iter().cycle().take(200) {
            if *rebuild {
                self.rebuild();
            }
            self.happen();
        }
        self.finish();
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
        self.appends.iter().flat_map(|append| &append.records).map(AsRef::as_ref)
    }

    /// The outcome of each item that has ended.
    pub fn results(&self) -> Vec<naive::Outcome> {
        let root = &self.machine.state().runs[&self.root];
        let ended = self.journal().filter_map(|record| match &record.event {
            Event::ItemEnded(ended) if ended.run == self.root => Some((ended.item, &ended.result)),
            _ => None,
        });
        let ended: BTreeMap<u32, &Outcome> = ended.collect();
        let unbegun = root.error.clone().map(Outcome::Failed);
        let results = (0_u32..).zip(&root.items);
        let results = results.filter_map(|(item, _)| ended.get(&item).copied().or(unbegun.as_ref()));
        results
            .map(|result| match result {
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

/// A new owner. The last one was killed while workers had all open attempts.
pub fn killed(epoch: u64) -> OwnerChanged {
    OwnerChanged { epoch, clean: false, started: None }
}
