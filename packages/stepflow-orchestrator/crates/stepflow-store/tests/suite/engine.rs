//! The engine over a database: runs that have ended are there after a restart, and the others continue.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stepflow_engine::event::{Control, Event, Outcome, Route, ValueRef};
use stepflow_engine::ports::{
    Address, Answer, ComponentHost, Inbox, Journal, Purity, SystemClock, Target, TaskEnvelope,
};
use stepflow_engine::{Engine, Notice, Options, Ports, Submission, inbox};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{FlowError, RunId, Value};
use stepflow_store::{SqliteStore, sqlite};

use crate::fixtures::{in_time, value};
use crate::sqlite::open;

/// Answers with the input. It answers `/hold` only if its first attempt was lost with an earlier owner.
struct Host {
    inbox: Arc<dyn Inbox>,
    offered: Mutex<Vec<TaskEnvelope>>,
}

impl ComponentHost for Host {
    fn resolve(&self, path: &str, _: &Value) -> Result<Target, FlowError> {
        let route = Route { plugin: "test".into(), component: path.into() };
        Ok(match path {
            "/map" => Target::SubFlow(Control::Map),
            "/sleep" => Target::Timer,
            _ => Target::Component { route, purity: Purity::External },
        })
    }

    fn offer(&self, task: TaskEnvelope) {
        self.inbox.started(task.address(), None);
        if task.route.component != "/hold" || task.task.attempt > 1 {
            self.inbox.answer(task.address(), Answer::Success(task.input.clone()));
        }
        self.offered.lock().unwrap().push(task);
    }

    fn cancel(&self, _: &Route, task: Address, _: &str) {
        self.inbox.answer(task, Answer::Cancelled);
    }
}

struct Server {
    engine: Engine,
    store: Arc<SqliteStore>,
    host: Arc<Host>,
}

fn start(path: &Path) -> Server {
    let (inbox, mailbox) = inbox(2);
    let host = Arc::new(Host { inbox, offered: Mutex::default() });
    let store = open(path);
    let ports = Ports { journal: store.clone(), host: host.clone(), clock: Arc::new(SystemClock::default()) };
    Server { engine: Engine::start(Options::default(), ports, mailbox), store, host }
}

fn submission(flow: &str, inputs: Vec<Value>) -> Submission {
    let flow = load(Source::yaml("flow.yaml", flow)).flow.unwrap();
    let plan = Arc::new(Plan::compile(flow).unwrap());
    Submission { plan, inputs, variables: None, overrides: None, max_concurrency: None, idempotency_key: None }
}

impl Server {
    async fn ended(&self, run: RunId) {
        let mut news = self.engine.subscribe(run, 0);
        while let Some(notice) = news.next().await.unwrap() {
            let Notice::Record(record) = notice else { continue };
            if matches!(&record.event, Event::RunEnded(ended) if ended.run == run) {
                return;
            }
        }
        panic!("the news ended before the run did");
    }

    /// The results of the run's items, in the order of their ends.
    async fn results(&self, run: RunId) -> Vec<Value> {
        let records = self.store.read(run, 0, usize::MAX).await.unwrap().records;
        let places = records.iter().filter_map(|record| match &record.event {
            Event::ItemEnded(ended) if ended.run == run => match &ended.result {
                Outcome::Success(place) => Some(place.clone()),
                Outcome::Failed(error) => panic!("{error:?}"),
            },
            _ => None,
        });
        let places: Vec<ValueRef> = places.collect();
        self.store.values(run, places).await.unwrap().into_iter().map(Option::unwrap).collect()
    }
}

const FLOW: &str = "
name: all
steps:
  - {id: echo, component: /echo, input: {$input: $}}
  - {id: wait, component: /sleep, input: {duration_ms: 10, passthrough: {$step: echo}}}
  - id: map
    component: /map
    input:
      items: [{$step: echo}, 2]
      workflow:
        $literal: {name: inner, steps: [{id: a, component: /echo, input: {$input: $}}], output: {$step: a}}
output: {echo: {$step: echo}, map: {$step: map}, waited: {$step: wait}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_end_and_their_results_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let long = value(&format!("\"{}\"", "x".repeat(20_000)));
    let server = start(&path);
    let run = server.engine.submit(submission(FLOW, vec![long.clone()])).await.unwrap();
    in_time("the run does not end", server.ended(run)).await;
    let results = server.results(run).await;
    assert!(results.len() == 1 && results[0].as_str().contains(long.as_str()));
    server.engine.shutdown().await;
    drop(server);
    let server = start(&path);
    assert_eq!(server.results(run).await, results);
    assert!(server.store.find(run).await.unwrap().unwrap().ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_open_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let hold = "{name: h, steps: [{id: a, component: /echo, input: {$input: $}}, \
                {id: b, component: /hold, input: {$step: a}}], output: {$step: b}}";
    let long = value(&format!("\"{}\"", "x".repeat(5_000)));
    let server = start(&path);
    let run = server.engine.submit(submission(hold, vec![long.clone()])).await.unwrap();
    let is_held = || server.host.offered.lock().unwrap().iter().any(|task| task.route.component == "/hold");
    let held = async {
        while !is_held() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    in_time("the second step is not offered", held).await;
    // The store is not told, as in a crash. The WAL is copied first: what leaves it afterwards is in the database.
    let copy = folder.path().join("crashed.db");
    for suffix in ["-wal", ""] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(&path), name(&copy)).unwrap();
    }
    server.engine.shutdown().await;
    let server = start(&copy);
    tokio::time::timeout(Duration::from_secs(20), server.ended(run)).await.unwrap();
    assert_eq!(server.results(run).await, [long]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_is_free_as_soon_as_the_engine_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let hold = "{name: h, steps: [{id: a, component: /echo, input: {$input: $}}, \
                {id: b, component: /hold, input: {$step: a}}], output: {$step: b}}";
    for number in 0..30_u64 {
        let Server { engine, store, .. } = start(&path);
        // Its trees are being read while it stops, and one who watches is not told of it.
        let run = engine.submit(submission(hold, vec![Value::from(number)])).await.unwrap();
        let watched = (engine.clone(), engine.subscribe(run, 0));
        drop(store);
        engine.shutdown().await;
        SqliteStore::open(&sqlite::Options::new(&path)).map(drop).unwrap();
        drop(watched);
    }
}
