//! An engine over the in-memory store, and a host that answers from a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use stepflow_engine::event::{Control, Event, Instance, Route, TaskRef};
use stepflow_engine::ports::{
    Address, Answer, Clock, ComponentHost, Inbox, Lost, Purity, SystemClock, Target, TaskEnvelope,
};
use stepflow_engine::{Engine, Notice, Options, Ports, Submission, inbox};
use stepflow_flow::{Backoff, Plan, Source, load};
use stepflow_protocol::{ExecutionStatus, FlowError, FlowResult, RunId, Value};
use stepflow_store::MemoryStore;

/// Answers from a script. `/hold` is never answered until it is cancelled, and no worker accepts `/refused`.
pub struct Host {
    pub inbox: Arc<dyn Inbox>,
    pub offered: Mutex<Vec<TaskEnvelope>>,
    pub cancelled: Mutex<Vec<TaskRef>>,
    pub losses: Mutex<VecDeque<Lost>>,
}

impl ComponentHost for Host {
    fn resolve(&self, path: &str, _: &Value) -> Result<Target, FlowError> {
        let route = Route { plugin: "test".into(), component: path.into() };
        match path {
            "/eval" => return Ok(Target::SubFlow(Control::Eval)),
            "/map" => return Ok(Target::SubFlow(Control::Map)),
            "/iterate" => return Ok(Target::SubFlow(Control::Iterate)),
            "/sleep" => return Ok(Target::Timer),
            _ => {}
        }
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn offer(&self, task: TaskEnvelope) {
        self.offered.lock().unwrap().push(task.clone());
        self.inbox.started(task.address(), Some(&worker()));
        match task.route.component.as_str() {
            "/hold" => {}
            "/refused" => self.inbox.waits(task.address()),
            "/lossy" => match self.losses.lock().unwrap().pop_front() {
                Some(lost) => self.inbox.answer(task.address(), Answer::Lost(lost)),
                None => self.inbox.answer(task.address(), Answer::Success(u64::from(task.task.attempt).into())),
            },
            _ => self.inbox.answer(task.address(), Answer::Success(task.input)),
        }
    }

    fn cancel(&self, _: &Route, task: Address, _: &str) {
        self.cancelled.lock().unwrap().push(task.task);
        self.inbox.answer(task, Answer::Cancelled);
    }
}

pub fn worker() -> Arc<Instance> {
    Arc::new(Instance { name: "python/7".to_owned(), version: Some("1.4".to_owned()) })
}

/// Tells the time of tokio's clock, which these tests may pause.
struct TokioClock(SystemClock, jiff::Timestamp);

impl Clock for TokioClock {
    fn now(&self) -> jiff::Timestamp {
        self.1 + jiff::SignedDuration::try_from(self.0.elapsed()).unwrap()
    }

    fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }

    fn sleep_until(&self, elapsed: std::time::Duration) -> BoxFuture<'static, ()> {
        self.0.sleep_until(elapsed)
    }
}

pub struct Bench {
    pub engine: Engine,
    pub host: Arc<Host>,
    pub store: Arc<MemoryStore>,
}

pub fn bench() -> Bench {
    let (inbox, mailbox) = inbox(1);
    let host =
        Arc::new(Host { inbox, offered: Mutex::default(), cancelled: Mutex::default(), losses: Mutex::default() });
    let store = MemoryStore::new(stepflow_store::Options::default());
    let ports = Ports {
        journal: store.clone(),
        host: host.clone(),
        clock: Arc::new(TokioClock(SystemClock::default(), jiff::Timestamp::now())),
    };
    let options =
        Options { backoff: Backoff::Constant { delay: std::time::Duration::from_millis(1) }, ..Options::default() };
    Bench { engine: Engine::start(options, ports, mailbox), host, store }
}

pub fn submission(flow: &str, inputs: &[&str]) -> Submission {
    let loaded = load(Source::yaml("flow.yaml", flow));
    let plan = Arc::new(Plan::compile(loaded.flow.expect("a valid flow")).unwrap());
    let inputs = inputs.iter().map(|input| Value::parse(*input).unwrap()).collect();
    Submission { plan, inputs, variables: None, overrides: None, max_concurrency: None, idempotency_key: None }
}

impl Bench {
    pub async fn run(&self, submission: Submission) -> RunId {
        let run = self.engine.submit(submission).await.unwrap();
        self.ended(run).await;
        run
    }

    pub async fn ended(&self, run: RunId) -> ExecutionStatus {
        let mut news = self.engine.subscribe(run, 0);
        while let Some(notice) = news.next().await.unwrap() {
            if let Notice::Record(record) = &notice
                && let Event::RunEnded(ended) = &record.event
                && ended.run == run
            {
                return ended.status;
            }
        }
        panic!("the news ended before the run did");
    }

    pub fn results(&self, run: RunId) -> Vec<FlowResult> {
        self.store.items(run).into_iter().map(|item| item.result.unwrap()).collect()
    }
}

pub const ECHO: &str = "{name: echo, steps: [{id: a, component: /echo, input: {$input: $}}], output: {$step: a}}";

pub fn success(text: &str) -> FlowResult {
    FlowResult::Success(Value::parse(text).unwrap())
}
