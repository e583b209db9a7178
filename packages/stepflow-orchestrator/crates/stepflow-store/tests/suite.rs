//! What every store must do, whatever it is made of; and what is the memory store's own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use jiff::Timestamp;
use stepflow_engine::event::{
    AttemptEnded, AttemptOutcome, Budget, Event, ItemEnded, Outcome, Record, RunCreated, RunEnded, StepEnded, StepRef,
    TaskRef, ValueRef,
};
use stepflow_engine::ports::{Blob, Blobs, Journal, NewRun, StoreError};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{BlobType, ExecutionStatus, FlowResult, RunId, TaskId, Value, content_id};
use stepflow_store::{MemoryStore, Options};
use uuid::Uuid;

fn value(text: &str) -> Value {
    Value::parse(text).unwrap()
}

fn record(seq: u64, event: Event) -> Record {
    Record { seq, at: Timestamp::UNIX_EPOCH, version: 1, event }
}

fn plan() -> Arc<Plan> {
    let loaded = load(Source::yaml("flow.yaml", "{name: s, steps: [{id: a, component: /x}], output: {$step: a}}"));
    Arc::new(Plan::compile(loaded.flow.unwrap()).unwrap())
}

fn run_id(number: u128) -> RunId {
    RunId::from_uuid(Uuid::from_u128(number))
}

fn new_run(run: RunId) -> NewRun {
    let created = RunCreated {
        run,
        root: run,
        parent: None,
        parent_run: None,
        key: None,
        flow_id: plan().flow_id,
        items: 1,
        inputs: None,
        variables: None,
        overrides: None,
        limit: 1,
        deadline_at: None,
        semantics: 1,
        nested: None,
    };
    NewRun {
        root: run,
        run,
        plan: plan(),
        inputs: vec![value("{\"in\":1}")],
        records: vec![record(1, Event::RunCreated(Box::new(created)))],
    }
}

/// The rest of a run whose only step returned `output`.
fn ending(run: RunId, output: &str) -> Vec<Record> {
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
        record(5, Event::RunEnded(RunEnded { run, status })),
    ]
}

async fn a_journal_is_read_back_as_it_was_written(store: &impl Journal) {
    let run = run_id(1);
    let new = new_run(run);
    let mut written = new.records.clone();
    store.create(new).await.unwrap();
    store.append(run, ending(run, "[1]")).await.unwrap();
    written.extend(ending(run, "[1]"));
    assert_eq!(store.read(run, 0).await.unwrap(), written);
    assert_eq!(store.read(run, 3).await.unwrap(), written[3..]);
    assert_eq!(store.read(run, 5).await.unwrap(), []);
}

async fn values_are_found_by_their_place(store: &impl Journal) {
    let run = run_id(2);
    store.create(new_run(run)).await.unwrap();
    store.append(run, ending(run, "{\"out\":1.0}")).await.unwrap();
    assert_eq!(store.value(run, &ValueRef::Row(2)).await.unwrap(), value("{\"out\":1.0}"));
    assert_eq!(store.value(run, &ValueRef::Item(run, 0)).await.unwrap(), value("{\"in\":1}"));
    assert!(matches!(store.value(run, &ValueRef::Row(3)).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.read(run_id(99), 0).await, Err(StoreError::NotFound { what: "run", .. })));
}

async fn content_is_kept_under_the_hash_of_its_canonical_text(store: &impl Blobs) {
    let blob = Blob { data: value("{ \"x\": 1 }"), blob_type: BlobType::Data };
    let id = store.put(blob).await.unwrap();
    assert_eq!(id, content_id(b"{\"x\":1}"));
    assert_eq!(store.get(id).await.unwrap().data, value("{\"x\":1}"));
    let absent = content_id(b"absent");
    assert!(matches!(store.get(absent).await, Err(StoreError::NotFound { what: "blob", .. })));
}

#[tokio::test]
async fn the_memory_store_passes_the_suite() {
    let store = MemoryStore::new(Options::default());
    a_journal_is_read_back_as_it_was_written(&*store).await;
    values_are_found_by_their_place(&*store).await;
    content_is_kept_under_the_hash_of_its_canonical_text(&*store).await;
}

#[tokio::test]
async fn rows_follow_the_journal() {
    let store = MemoryStore::new(Options::default());
    let run = run_id(3);
    store.create(new_run(run)).await.unwrap();
    let row = store.run(run).unwrap();
    assert_eq!((row.status, row.items.running, row.flow_name.as_deref()), (ExecutionStatus::Running, 1, Some("s")));
    assert_eq!(store.items(run)[0].result, None);
    store.append(run, ending(run, "5")).await.unwrap();
    let row = store.run(run).unwrap();
    assert_eq!((row.status, row.items.running, row.items.completed), (ExecutionStatus::Completed, 0, 1));
    assert_eq!(store.items(run)[0].result, Some(FlowResult::Success(value("5"))));
    assert_eq!(store.steps(run, 0)[0].step_id, "a");
    assert!(store.flow(plan().flow_id).is_some());
}

#[tokio::test]
async fn only_the_last_finished_runs_are_kept() {
    let store = MemoryStore::new(Options { keep_finished: 2 });
    for number in 1..=3 {
        let run = run_id(number);
        store.create(new_run(run)).await.unwrap();
        store.append(run, ending(run, "0")).await.unwrap();
    }
    store.create(new_run(run_id(4))).await.unwrap();
    let kept: Vec<bool> = (1..=4).map(|number| store.run(run_id(number)).is_some()).collect();
    assert_eq!(kept, [false, true, true, true]);
}
