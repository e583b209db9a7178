//! Components that run flows through their worker: the run is found again by the step's next attempt.

use std::sync::Arc;

use serde_json::Value as Json;
use stepflow_engine::event::{Outcome, RunCreated, TaskRef};
use stepflow_engine::machine::Input;
use stepflow_engine::ports::{Answer, Lost};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{ErrorKind, FlowError, RunId, Value};

use super::flows::sub_flow;
use super::world::Simulation;

/// Makes a flow.
type Flow = fn() -> Json;

/// Each component with the flow that it runs: `/calls3` runs one that calls `/calls2`, which calls `/calls`.
/// `/calls_twice` fails the first time, when its run has ended.
pub const FLOWS: [(&str, Flow); 4] = [
    ("/calls", || sub_flow("/t/lost")),
    ("/calls2", || sub_flow("/t/calls")),
    ("/calls3", || sub_flow("/t/calls2")),
    ("/calls_twice", || sub_flow("/t/wrap")),
];

/// A worker's execute that waits for its run.
pub struct Caller {
    component: String,
    run: RunId,
}

/// The flow that a component runs, if it does.
pub fn called(component: &str) -> Option<Json> {
    FLOWS.iter().find(|(name, _)| *name == component).map(|(_, flow)| flow())
}

pub fn plan(flow: &Json) -> Arc<Plan> {
    Arc::new(Plan::compile(load(Source::json("called.json", flow.to_string())).flow.unwrap()).unwrap())
}

impl Simulation {
    /// The component asks for its run, or finds it, and waits.
    pub fn call(&mut self, task: TaskRef, component: &str, flow: &Json, input: &Value) {
        let state = self.machine.state();
        // Its step has ended meanwhile.
        let Some(step) = state.step_of(task) else { return self.tell(Input::Answered(task, Answer::Cancelled, None)) };
        let key = "call".to_owned();
        let run = match state.found(step, &key) {
            Some(run) => run,
            None => {
                let (root, limit, run) = (self.root, state.limit, RunId::from_uuid(self.draw()));
                let created = RunCreated {
                    run,
                    root,
                    parent: Some(step),
                    parent_run: None,
                    key: Some(key),
                    nested: None,
                    flow_id: plan(flow).flow_id,
                    items: 1,
                    inputs: None,
                    variables: None,
                    overrides: None,
                    limit,
                    deadline_at: None,
                    semantics: 1,
                };
                self.tell(Input::Submitted(Box::new(created), vec![input.clone()]));
                run
            }
        };
        self.callers.insert(task, Caller { component: component.to_owned(), run });
        self.machine.waits(task);
        self.tell(Input::Continue);
    }

    /// The executes whose run has ended.
    pub fn returned(&self) -> Vec<TaskRef> {
        let ended = self
            .callers
            .iter()
            .filter(|(task, caller)| !self.returning.contains(task) && !self.machine.state().is_open(caller.run));
        ended.map(|(task, _)| *task).collect()
    }

    /// The component goes on when there is a slot for it.
    pub fn return_to(&mut self, task: TaskRef) {
        self.machine.waits_no_more(task);
        self.returning.insert(task);
        self.let_back();
    }

    /// Those that have a slot again go on, one after the other.
    pub fn let_back(&mut self) {
        for task in self.machine.take_let_back() {
            self.most_open = self.most_open.max(self.machine.state().open - self.machine.waiting().total());
            if self.returning.remove(&task) {
                self.go_on_with(task);
            }
        }
    }

    /// The component answers with the result of its run.
    fn go_on_with(&mut self, task: TaskRef) {
        let Caller { component, run } = self.callers.remove(&task).unwrap();
        // A run is forgotten when its step has ended, because the answer is not needed.
        let end = self.machine.state().runs.get(&run).and_then(|run| run.items[0].end.clone());
        let answer = match end.map(|end| end.result) {
            Some(Outcome::Success(place)) if component != "/calls_twice" || task.attempt > 1 => {
                Answer::Success(Value::object([("got", self.stored(&place))]))
            }
            Some(Outcome::Success(_)) => Answer::Failed(FlowError::new(ErrorKind::ComponentFailed, "not yet").into()),
            Some(Outcome::Failed(error)) => Answer::Failed(error.into()),
            None => Answer::Cancelled,
        };
        self.tell(Input::Answered(task, answer, None));
    }
}

/// How the component of this name behaves.
pub fn answer(component: &str, input: &Value, attempt: u32) -> Answer {
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
