//! A flow, runs of it, and an owner of a store.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stepflow_engine::Shards;
use stepflow_engine::event::{
    AttemptEnded, AttemptOutcome, Budget, Event, ItemEnded, Outcome, Record, RunCreated, RunEnded, StepEnded, StepRef,
    TaskRef, ValueRef,
};
use stepflow_engine::ports::{Append, AppendRef, Appended, Commits, Journal, NewRun, StoreError};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{ExecutionStatus, RunId, TaskId, Value};
use tokio::sync::mpsc;
use uuid::Uuid;

pub fn value(text: &str) -> Value {
    Value::parse(text).unwrap()
}

/// A value of so many bytes.
#[cfg(feature = "sqlite")]
pub fn long(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

pub fn record(seq: u64, event: Event) -> Arc<Record> {
    Arc::new(Record { seq, at: Timestamp::UNIX_EPOCH, version: 1, event })
}

pub fn plan() -> Arc<Plan> {
    let loaded = load(Source::yaml("flow.yaml", "{name: s, steps: [{id: a, component: /x}], output: {$step: a}}"));
    Arc::new(Plan::compile(loaded.flow.unwrap()).unwrap())
}

pub fn run_id(number: u128) -> RunId {
    RunId::from_uuid(Uuid::from_u128(number))
}

fn created(run: RunId, root: RunId, items: u32) -> RunCreated {
    RunCreated {
        run,
        root,
        parent: None,
        parent_run: (run != root).then_some(root),
        key: None,
        flow_id: plan().flow_id,
        items,
        inputs: None,
        variables: None,
        overrides: None,
        limit: 1,
        deadline_at: None,
        semantics: 1,
        nested: None,
    }
}

/// A run with two items that a step of `root` asks for.
pub fn sub_run(seq: u64, run: RunId, root: RunId) -> Arc<Record> {
    record(seq, Event::RunCreated(Box::new(created(run, root, 2))))
}

pub fn new_run(run: RunId) -> NewRun {
    NewRun {
        plan: plan(),
        idempotency_key: None,
        stage: None,
        append: Append {
            after: 0,
            inputs: vec![(run, vec![value("{\"in\":1}")])],
            ..append(run, vec![record(1, Event::RunCreated(Box::new(created(run, run, 1))))])
        },
    }
}

/// The rest of a run whose only step returned `output`.
pub fn ending(run: RunId, output: &str) -> Vec<Arc<Record>> {
    let task = TaskRef { task_id: TaskId::from_uuid(Uuid::from_u128(7)), attempt: 1 };
    let payload = Some(ValueRef::Inline(value(output)));
    let attempt = AttemptEnded {
        task,
        outcome: AttemptOutcome::Success,
        payload,
        error: None,
        spends: Budget::None,
        instance: None,
        suspects: 0,
    };
    let result = Outcome::Success(ValueRef::Row(2));
    let step = StepRef { run, item: 0, step: 0 };
    let status = ExecutionStatus::Completed;
    vec![
        record(2, Event::AttemptEnded(attempt)),
        record(3, Event::StepEnded(StepEnded { step, result: result.clone(), defaulted: false })),
        record(4, Event::ItemEnded(ItemEnded { run, item: 0, status, result })),
        record(5, Event::RunEnded(RunEnded { run, status, error: None })),
    ]
}

/// The events after the first one.
pub fn append(root: RunId, records: Vec<Arc<Record>>) -> Append {
    Append {
        root,
        epoch: 1,
        incarnation: 1,
        after: 1,
        records,
        flows: Vec::new(),
        inputs: Vec::new(),
        owes: Vec::new(),
        settles: Vec::new(),
        unmarks: Vec::new(),
        idle: false,
    }
}

/// The results of appends.
#[derive(Clone)]
pub struct Answers(pub mpsc::UnboundedSender<Result<AppendRef, (AppendRef, StoreError)>>);

impl Commits for Answers {
    fn committed(&self, appends: Vec<AppendRef>) {
        appends.into_iter().for_each(|written| drop(self.0.send(Ok(written))));
    }

    fn failed(&self, appends: Vec<AppendRef>, why: StoreError) {
        appends.into_iter().for_each(|written| drop(self.0.send(Err((written, why.clone())))));
    }
}

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The result of something that must happen in time; the test fails with `otherwise` when it does not.
pub async fn in_time<T>(otherwise: &str, act: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, act).await.expect(otherwise)
}

/// A store with an owner.
pub struct Owned<S> {
    pub store: Arc<S>,
    pub answers: mpsc::UnboundedReceiver<Result<AppendRef, (AppendRef, StoreError)>>,
}

impl<S: Journal> Owned<S> {
    pub async fn new(store: Arc<S>) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        store.own(Shards::ALL, Arc::new(Answers(sender))).await.unwrap();
        Self { store, answers }
    }

    /// The next result of an append.
    pub async fn answer(&mut self) -> Result<AppendRef, (AppendRef, StoreError)> {
        in_time("no append is answered", self.answers.recv()).await.expect("the store is gone")
    }

    /// Appends, and waits for the result.
    pub async fn append(&mut self, append: Append) -> Result<(), StoreError> {
        let upto = append.upto();
        match self.store.append(append) {
            Appended::Now => Ok(()),
            Appended::Later => loop {
                match self.answer().await {
                    Ok(written) if written.upto >= upto => return Ok(()),
                    Ok(_) => {}
                    Err((_, why)) => return Err(why),
                }
            },
        }
    }

    pub async fn value(&self, run: RunId, place: ValueRef) -> Option<Value> {
        self.store.values(run, vec![place]).await.unwrap().remove(0)
    }
}
