//! Runs that a running step asks for, over the in-memory store: how the engine finds, makes, waits for and ends them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stepflow_engine::event::Route;
use stepflow_engine::ports::{Address, Answer, ComponentHost, Inbox, Lost, Purity, SystemClock, Target, TaskEnvelope};
use stepflow_engine::{CancelError, Engine, Error, Options, Origin, Parent, Ports, Submission, inbox};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{ErrorKind, ExecutionStatus, FlowError, RunId, Value};
use stepflow_store::MemoryStore;
use tokio::sync::mpsc;

/// Hands every task to the test, which answers it. A cancelled task is answered at once.
struct Host {
    inbox: Arc<dyn Inbox>,
    offers: Mutex<mpsc::UnboundedSender<TaskEnvelope>>,
}

impl ComponentHost for Host {
    fn resolve(&self, path: &str, _: &Value) -> Result<Target, FlowError> {
        let route = Route { plugin: "test".into(), component: path.into() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn offer(&self, task: TaskEnvelope) {
        self.inbox.started(task.address(), None);
        let _ = self.offers.lock().unwrap().send(task);
    }

    fn cancel(&self, _: &Route, task: Address, _: &str) {
        self.inbox.answer(task, Answer::Cancelled);
    }
}

struct Bench {
    engine: Engine,
    inbox: Arc<dyn Inbox>,
    store: Arc<MemoryStore>,
    offers: mpsc::UnboundedReceiver<TaskEnvelope>,
}

fn bench() -> Bench {
    let (inbox, mailbox) = inbox(1);
    let (sender, offers) = mpsc::unbounded_channel();
    let host = Arc::new(Host { inbox: Arc::clone(&inbox), offers: Mutex::new(sender) });
    let store = MemoryStore::new(stepflow_store::Options::default());
    let ports = Ports { journal: store.clone(), host, clock: Arc::new(SystemClock::default()) };
    Bench { engine: Engine::start(Options::default(), ports, mailbox), inbox, store, offers }
}

fn submission(flow: &str, limit: Option<u32>) -> Submission {
    let loaded = load(Source::yaml("flow.yaml", flow));
    let plan = Arc::new(Plan::compile(loaded.flow.expect("a valid flow")).unwrap());
    Submission {
        plan,
        inputs: vec![Value::null()],
        variables: None,
        overrides: None,
        max_concurrency: limit,
        idempotency_key: None,
    }
}

const STEP: &str = "{name: s, steps: [{id: a, component: /a, onError: {action: retry, backoff: {type: constant, delay: 0s}}}], \
    output: {$step: a}}";
const ONCE: &str = "{name: s, steps: [{id: a, component: /a}], output: {$step: a}}";
const SUB: &str = "{name: sub, steps: [{id: b, component: /b}], output: {$step: b}}";
const OTHER: &str = "{name: other, steps: [{id: c, component: /c}], output: {$step: c}}";

fn by(task: &TaskEnvelope, key: Option<&str>) -> Origin {
    Origin { parent: Parent::Attempt(task.address()), key: key.map(str::to_owned), detached: false }
}

impl Bench {
    async fn offer(&mut self) -> TaskEnvelope {
        tokio::time::timeout(Duration::from_secs(30), self.offers.recv()).await.expect("nothing is offered").unwrap()
    }

    /// A run whose first step is open.
    async fn open(&mut self, limit: Option<u32>) -> (RunId, TaskEnvelope) {
        let run = self.engine.submit(submission(STEP, limit)).await.unwrap();
        (run, self.offer().await)
    }

    fn succeed(&self, task: &TaskEnvelope) {
        self.inbox.answer(task.address(), Answer::Success(Value::null()));
    }

    fn fail(&self, task: &TaskEnvelope) {
        let error = FlowError::new(ErrorKind::ComponentFailed, "not yet");
        self.inbox.answer(task.address(), Answer::Failed(error.into()));
    }

    /// Like with a worker that another attempt has crashed.
    fn lose_worker_of(&self, task: &TaskEnvelope) {
        let error = FlowError::new(ErrorKind::Unreachable, "the worker is gone");
        self.inbox.answer(task.address(), Answer::Lost(Lost { error, spends: false, back_off: false, suspects: 0 }));
    }

    fn status(&self, run: RunId) -> ExecutionStatus {
        self.store.run(run).unwrap().status
    }
}

#[tokio::test]
async fn without_a_key_a_run_is_found_by_what_is_asked_for_and_how_often() {
    let mut bench = bench();
    let (_, first) = bench.open(None).await;
    let mut made = Vec::new();
    for flow in [SUB, SUB, OTHER] {
        made.push(bench.engine.submit_from(by(&first, None), submission(flow, None)).await.unwrap());
    }
    for _ in 0..3 {
        let task = bench.offer().await;
        bench.succeed(&task);
    }
    bench.fail(&first);
    let second = bench.offer().await;
    let mut found = Vec::new();
    for flow in [SUB, OTHER, SUB] {
        found.push(bench.engine.submit_from(by(&second, None), submission(flow, None)).await.unwrap());
    }
    assert_eq!(found, [made[0], made[2], made[1]]);
    let more = bench.engine.submit_from(by(&second, None), submission(SUB, None)).await.unwrap();
    assert!(!made.contains(&more), "a third call is a run of its own");
}

#[tokio::test]
async fn a_run_that_failed_is_made_anew_for_the_next_attempt() {
    let mut bench = bench();
    let (_, first) = bench.open(None).await;
    let failed = bench.engine.submit_from(by(&first, Some("k")), submission(SUB, None)).await.unwrap();
    let below = bench.offer().await;
    bench.fail(&below);
    bench.engine.ended(failed, None).await;
    bench.fail(&first);
    let second = bench.offer().await;
    let made = bench.engine.submit_from(by(&second, Some("k")), submission(SUB, None)).await.unwrap();
    assert_ne!(made, failed);
    let again = bench.engine.submit_from(by(&second, Some("k")), submission(SUB, None)).await.unwrap();
    assert_eq!(again, made, "the key is the newer run's");
}

#[tokio::test]
async fn a_run_that_failed_is_found_by_the_attempt_after_those_that_never_heard_of_it() {
    let mut bench = bench();
    let (_, first) = bench.open(None).await;
    let failed = bench.engine.submit_from(by(&first, Some("k")), submission(SUB, None)).await.unwrap();
    let below = bench.offer().await;
    bench.lose_worker_of(&first);
    let second = bench.offer().await;
    bench.fail(&below);
    bench.engine.ended(failed, None).await;
    bench.lose_worker_of(&second);
    let third = bench.offer().await;
    let found = bench.engine.submit_from(by(&third, Some("k")), submission(SUB, None)).await.unwrap();
    assert_eq!(found, failed);
    bench.fail(&third);
    let fourth = bench.offer().await;
    let made = bench.engine.submit_from(by(&fourth, Some("k")), submission(SUB, None)).await.unwrap();
    assert_ne!(made, failed, "the third attempt heard of it");
}

#[tokio::test]
async fn a_step_that_asks_for_a_new_run_and_is_lost_each_time_fails_in_the_end() {
    let mut bench = bench();
    let root = bench.engine.submit(submission(ONCE, None)).await.unwrap();
    for round in 0..100 {
        let attempt = tokio::select! {
            attempt = bench.offers.recv() => attempt.unwrap(),
            _ = bench.engine.ended(root, None) => break,
        };
        let key = round.to_string();
        bench.engine.submit_from(by(&attempt, Some(&key)), submission(SUB, None)).await.unwrap();
        let below = bench.offer().await;
        bench.fail(&below);
        bench.lose_worker_of(&attempt);
    }
    assert_eq!(bench.status(root), ExecutionStatus::Failed);
}

#[tokio::test]
async fn an_attempt_that_waits_holds_no_slot_and_one_that_waits_no_more_does() {
    let mut bench = bench();
    let (root, parent) = bench.open(Some(1)).await;
    let sub_run = bench.engine.submit_from(by(&parent, None), submission(SUB, None)).await.unwrap();
    assert!(bench.offers.is_empty(), "the only slot is taken");
    let waiting = tokio::spawn({
        let (engine, task) = (bench.engine.clone(), parent.address());
        async move { engine.ended(sub_run, Some(task)).await }
    });
    let below = bench.offer().await;
    assert_eq!((below.run_id, below.root_run_id), (sub_run, root));
    bench.succeed(&below);
    waiting.await.unwrap();
    let next = bench.engine.submit_from(by(&parent, None), submission(OTHER, None)).await.unwrap();
    assert!(bench.offers.is_empty(), "it counts again");
    bench.succeed(&parent);
    bench.engine.ended(root, None).await;
    assert_eq!(bench.status(root), ExecutionStatus::Completed);
    assert_eq!(bench.status(next), ExecutionStatus::Cancelled);
}

#[tokio::test]
async fn the_sub_runs_of_an_attempt_outlive_it_and_end_with_the_step() {
    let mut bench = bench();
    let (root, mut attempt) = bench.open(None).await;
    let sub_run = bench.engine.submit_from(by(&attempt, Some("k")), submission(SUB, None)).await.unwrap();
    let _held = bench.offer().await;
    for _ in 0..3 {
        bench.fail(&attempt);
        attempt = bench.offer().await;
        assert_eq!(bench.status(sub_run), ExecutionStatus::Running);
    }
    bench.fail(&attempt);
    bench.engine.ended(root, None).await;
    assert_eq!(bench.status(root), ExecutionStatus::Failed);
    assert_eq!(bench.status(sub_run), ExecutionStatus::Cancelled);
}

#[tokio::test]
async fn a_cancelled_sub_run_takes_those_below_it_along_and_no_others() {
    let mut bench = bench();
    let (root, parent) = bench.open(None).await;
    let upper = bench.engine.submit_from(by(&parent, None), submission(SUB, None)).await.unwrap();
    let task = bench.offer().await;
    let lower = bench.engine.submit_from(by(&task, None), submission(OTHER, None)).await.unwrap();
    let beside = bench.engine.submit_from(by(&parent, None), submission(OTHER, None)).await.unwrap();
    bench.engine.cancel(upper, "a test", None).await.unwrap();
    let statuses = [upper, lower, beside, root].map(|run| bench.status(run));
    let (cancelled, running) = (ExecutionStatus::Cancelled, ExecutionStatus::Running);
    assert_eq!(statuses, [cancelled, cancelled, running, running]);
    assert_eq!(bench.engine.cancel(lower, "a test", None).await, Err(CancelError::NotRunning));
}

#[tokio::test]
async fn a_step_that_has_ended_cannot_ask_for_runs() {
    let mut bench = bench();
    let (root, task) = bench.open(None).await;
    bench.engine.cancel(root, "a test", None).await.unwrap();
    let asked = bench.engine.submit_from(by(&task, None), submission(SUB, None)).await;
    assert!(matches!(asked, Err(Error::NotOpen)), "{asked:?}");
    let below = Origin { parent: Parent::Run(root), key: None, detached: false };
    assert!(matches!(bench.engine.submit_from(below, submission(SUB, None)).await, Err(Error::NotOpen)));
}

#[tokio::test]
async fn waiting_for_a_run_that_is_not_there_is_over_at_once() {
    let bench = bench();
    let nobody = RunId::from_uuid(uuid::Uuid::nil());
    tokio::time::timeout(Duration::from_secs(30), bench.engine.ended(nobody, None)).await.expect("it waits");
}
