//! Reading runs and flows: the same tests for every store.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use stepflow_engine::Shards;
use stepflow_engine::event::{AttemptOutcome, Outcome, Record, ValueRef};
use stepflow_engine::ports::{
    Append, AppendRef, Appended, Commits, Flows, ItemCounts, Journal, NewRun, Queries, RunFilter, StoreError, in_order,
};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{ExecutionStatus, FlowResult, ResultOrder, RunId, StepStatus, Value};
use stepflow_store::{MemoryStore, Options};
use tokio::sync::mpsc;
use uuid::Uuid;

/// A store that can be filled and queried.
trait Store: Journal + Queries + Flows {}
impl<S: Journal + Queries + Flows> Store for S {}

const FLOW: &str =
    "{name: s, version: '1', steps: [{id: a, component: /x}, {id: b, component: /x}], output: {$step: a}}";

fn plan(text: &str) -> Arc<Plan> {
    Arc::new(Plan::compile(load(Source::yaml("flow.yaml", text)).flow.unwrap()).unwrap())
}

fn run_id(number: u128) -> RunId {
    RunId::from_uuid(Uuid::from_u128(number))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Events as a journal has them. The first one has the sequence `after + 1`, and each comes a second after the one
/// before.
fn records(after: u64, events: &[Json]) -> Vec<Arc<Record>> {
    let record = |(seq, event): (u64, &Json)| {
        let event = serde_json::from_value(event.clone()).unwrap();
        Arc::new(Record { seq, at: at(i64::try_from(seq).unwrap()), version: 1, event })
    };
    (after + 1..).zip(events).map(record).collect()
}

fn created(run: RunId, items: u32) -> Json {
    json!({"run_created": {"run": run, "root": run, "flow_id": plan(FLOW).flow_id, "items": items, "limit": 1, "semantics": 1}})
}

fn scheduled(run: RunId, item: u32, attempt: u32, reason: &str) -> Json {
    let task = Uuid::from_u128(100 + u128::from(item));
    let route = json!({"plugin": "p", "component": "/c"});
    json!({"step_scheduled": {"run": run, "item": item, "step": 0, "task_id": task, "attempt": attempt, "component": "/x",
        "route": route, "input": {"inline": null}, "reason": reason}})
}

fn attempt_ended(item: u32, attempt: u32, outcome: &str) -> Json {
    let task = Uuid::from_u128(100 + u128::from(item));
    let payload = json!({"inline": [item]});
    json!({"attempt_ended": {"task_id": task, "attempt": attempt, "outcome": outcome, "payload": payload, "spends": "none",
        "instance": {"name": "w-1"}}})
}

fn ended(run: RunId, item: u32, row: u64) -> [Json; 2] {
    let result = json!({"success": {"row": row}});
    [
        json!({"step_ended": {"run": run, "item": item, "step": 0, "result": result}}),
        json!({"item_ended": {"run": run, "item": item, "status": "completed", "result": result}}),
    ]
}

/// Only queries a store.
struct Answers(mpsc::UnboundedSender<Result<AppendRef, StoreError>>);

impl Commits for Answers {
    fn committed(&self, appends: Vec<AppendRef>) {
        appends.into_iter().for_each(|written| drop(self.0.send(Ok(written))));
    }

    fn failed(&self, appends: Vec<AppendRef>, why: StoreError) {
        appends.into_iter().for_each(|_| drop(self.0.send(Err(why.clone()))));
    }
}

/// A store that is filled.
struct Filled<S> {
    store: Arc<S>,
    epoch: u64,
    answers: mpsc::UnboundedReceiver<Result<AppendRef, StoreError>>,
}

impl<S: Store> Filled<S> {
    async fn new(store: Arc<S>) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        let epoch = store.own(Shards::ALL, Arc::new(Answers(sender))).await.unwrap()[0].epoch;
        Self { store, epoch, answers }
    }

    fn records(&self, root: RunId, after: u64, events: &[Json]) -> Append {
        Append {
            root,
            epoch: self.epoch,
            incarnation: 1,
            after,
            records: records(after, events),
            flows: Vec::new(),
            inputs: Vec::new(),
            owes: Vec::new(),
            settles: Vec::new(),
            unmarks: Vec::new(),
            idle: false,
        }
    }

    async fn create(&self, run: RunId, items: u32) {
        let inputs = vec![(run, vec![Value::null(); items as usize])];
        let append = Append { inputs, ..self.records(run, 0, &[created(run, items)]) };
        let new = NewRun { plan: plan(FLOW), idempotency_key: None, stage: None, append };
        self.store.create(new).await.unwrap();
    }

    /// Appends, and waits until it is durable.
    async fn append(&mut self, append: Append) {
        let (root, upto) = (append.root, append.upto());
        if self.store.append(append) == Appended::Now {
            return;
        }
        loop {
            let written = self.answers.recv().await.unwrap().unwrap();
            if written.root == root && written.upto >= upto {
                return;
            }
        }
    }
}

async fn rows_follow_the_journal(filled: &mut Filled<impl Store>) {
    let run = run_id(1);
    filled.create(run, 1).await;
    let store = Arc::clone(&filled.store);
    let row = Queries::run(&*store, run).await.unwrap().unwrap();
    assert_eq!((row.status, row.flow_name.as_deref()), (ExecutionStatus::Running, Some("s")));
    assert_eq!((row.items, row.created_at, row.ended_at), (ItemCounts::running(1), at(1), None));
    assert_eq!(store.items(run, None, 9).await.unwrap()[0].result, None);
    let mut events = vec![scheduled(run, 0, 1, "first"), attempt_ended(0, 1, "success")];
    events.extend(ended(run, 0, 3));
    events.push(json!({"run_ended": {"run": run, "status": "completed"}}));
    filled.append(filled.records(run, 1, &events)).await;
    let row = Queries::run(&*store, run).await.unwrap().unwrap();
    assert_eq!((row.status, row.items.running, row.items.completed), (ExecutionStatus::Completed, 0, 1));
    assert_eq!(row.ended_at, Some(at(6)));
    let item = store.items(run, None, 9).await.unwrap().remove(0);
    assert_eq!(item.result, Some(FlowResult::Success(Value::parse("[0]").unwrap())));
    let steps = store.steps(run, 0).await.unwrap();
    let [step] = steps.as_slice() else { panic!("a step of which nothing is known has no row: {steps:?}") };
    assert_eq!((step.step_id.as_str(), step.status, step.attempts), ("a", StepStatus::Completed, 1));
    assert_eq!(step.result, Some(Outcome::Success(ValueRef::Row(3))));
    assert_eq!(store.plan(run).await.unwrap().unwrap().flow_id, row.flow_id);
}

async fn what_is_not_there_has_no_rows(filled: &Filled<impl Store>) {
    let store = &filled.store;
    let nobody = run_id(99);
    assert_eq!(Queries::run(&**store, nobody).await.unwrap(), None);
    assert!(store.plan(nobody).await.unwrap().is_none());
    assert_eq!(store.items(nobody, None, 9).await.unwrap(), []);
    assert_eq!(store.steps(nobody, 0).await.unwrap(), []);
    assert_eq!(store.attempts(nobody, 0, 0).await.unwrap(), []);
}

async fn items_in_which_nothing_had_begun_end_with_their_run(filled: &mut Filled<impl Store>) {
    let run = run_id(4);
    filled.create(run, 3).await;
    let mut events = vec![scheduled(run, 1, 1, "first"), attempt_ended(1, 1, "success")];
    events.extend(ended(run, 1, 3));
    let error = json!({"kind": "CANCELLED", "code": 1, "message": "m"});
    events.push(json!({"run_ended": {"run": run, "status": "cancelled", "error": error}}));
    filled.append(filled.records(run, 1, &events)).await;
    let row = Queries::run(&*filled.store, run).await.unwrap().unwrap();
    assert_eq!(row.items, ItemCounts { total: 3, completed: 1, cancelled: 2, ..ItemCounts::default() });
    let items = filled.store.items(run, None, 9).await.unwrap();
    let (completed, cancelled) = (ExecutionStatus::Completed, ExecutionStatus::Cancelled);
    let told = items.iter().map(|item| (item.item, item.status, item.ended_at)).collect::<Vec<_>>();
    assert_eq!(told, [(0, cancelled, Some(at(6))), (1, completed, Some(at(5))), (2, cancelled, Some(at(6)))]);
    assert!(matches!(&items[2].result, Some(FlowResult::Failed(error)) if error.message == "m"), "{:?}", items[2]);
}

async fn a_run_has_the_plan_of_its_overrides(filled: &mut Filled<impl Store>) {
    let (root, child) = (run_id(5), run_id(6));
    let overrides = |path: &str| json!({"steps": {"b": {"value": {"component": path}}}});
    let with = |event: Json, overrides: Json| {
        let mut event = event;
        event["run_created"]["overrides"] = overrides;
        event
    };
    let first = with(created(root, 1), overrides("/root"));
    let patch = Value::parse(overrides("/root").to_string()).unwrap();
    let patched = Arc::new(plan(FLOW).with_overrides(&patch).unwrap());
    let inputs = vec![(root, vec![Value::null()])];
    let append = Append { inputs, ..filled.records(root, 0, &[first]) };
    filled.store.create(NewRun { plan: patched, idempotency_key: None, stage: None, append }).await.unwrap();
    let sub_run = json!({"run_created": {"run": child, "root": root, "parent_run": root, "flow_id": plan(FLOW).flow_id,
        "items": 1, "limit": 1, "semantics": 1}});
    let second = with(sub_run, overrides("/child"));
    let inputs = vec![(child, vec![Value::null()])];
    filled.append(Append { inputs, ..filled.records(root, 1, &[second]) }).await;
    for (run, component) in [(root, "/root"), (child, "/child"), (root, "/root")] {
        let plan = filled.store.plan(run).await.unwrap().unwrap();
        assert_eq!((plan.steps[1].component.as_str(), plan.steps[0].component.as_str()), (component, "/x"));
    }
    let flow = Journal::flow(&*filled.store, plan(FLOW).flow_id).await.unwrap().unwrap();
    assert_eq!(flow.steps[1].component, "/x", "under its id a flow is what its author wrote");
}

async fn items_come_in_pages(filled: &mut Filled<impl Store>) {
    let run = run_id(2);
    filled.create(run, 5).await;
    let mut events = vec![attempt_ended(3, 1, "success")];
    events.extend(ended(run, 3, 2));
    filled.append(filled.records(run, 1, &events)).await;
    let store = &filled.store;
    let page = async |after, most| store.items(run, after, most).await.unwrap();
    let numbers = async |after, most| page(after, most).await.iter().map(|row| row.item).collect::<Vec<u32>>();
    assert_eq!(numbers(None, 2).await, [0, 1]);
    assert_eq!(numbers(Some(1), 2).await, [2, 3]);
    assert_eq!(numbers(Some(3), 2).await, [4]);
    assert_eq!(numbers(Some(4), 2).await, [0; 0]);
    let ended = in_order(page(None, 9).await, ResultOrder::ByCompletion);
    assert_eq!((ended[0].item, ended[0].status, ended.len()), (3, ExecutionStatus::Completed, 5));
}

async fn attempts_tell_who_had_them_and_how_they_ended(filled: &mut Filled<impl Store>) {
    let run = run_id(3);
    filled.create(run, 2).await;
    let events = [
        scheduled(run, 0, 1, "first"),
        scheduled(run, 1, 1, "first"),
        attempt_ended(0, 1, "component_error"),
        scheduled(run, 0, 2, "component_retry"),
    ];
    filled.append(filled.records(run, 1, &events)).await;
    let attempts = filled.store.attempts(run, 0, 0).await.unwrap();
    let [first, second] = attempts.as_slice() else { panic!("{attempts:?}") };
    assert_eq!((first.attempt, first.outcome), (1, Some(AttemptOutcome::ComponentError)));
    assert_eq!((first.scheduled_at, first.ended_at), (at(2), Some(at(4))));
    assert_eq!(first.worker.as_ref().unwrap().name, "w-1");
    assert_eq!((second.attempt, second.outcome, second.ended_at), (2, None, None));
    assert_eq!(filled.store.attempts(run, 1, 0).await.unwrap().len(), 1);
    assert_eq!(filled.store.attempts(run, 0, 1).await.unwrap(), []);
    let ends = ended(run, 0, 7);
    let events = [json!({"owner_changed": {"epoch": 9}}), attempt_ended(0, 2, "success"), ends[0].clone()];
    filled.append(filled.records(run, 5, &events)).await;
    filled.append(filled.records(run, 8, &[attempt_ended(1, 1, "success")])).await;
    let outcomes = async |item| {
        let attempts = filled.store.attempts(run, item, 0).await.unwrap();
        attempts.iter().map(|row| (row.outcome, row.ended_at)).collect::<Vec<_>>()
    };
    let (failed, success) = (Some(AttemptOutcome::ComponentError), Some(AttemptOutcome::Success));
    assert_eq!(outcomes(0).await, [(failed, Some(at(4))), (success, Some(at(7)))]);
    assert_eq!(outcomes(1).await, [(success, Some(at(9)))], "an answer that comes late says how it ended");
}

async fn runs_are_listed_from_the_newest_and_filtered(filled: &mut Filled<impl Store>) {
    let (root, child) = (run_id(10), run_id(11));
    filled.create(root, 1).await;
    let step = json!({"run": root, "item": 0, "step": 0});
    let sub_run = json!({"run_created": {"run": child, "root": root, "parent": step, "flow_id": plan(FLOW).flow_id,
        "items": 1, "limit": 1, "semantics": 1}});
    let end = json!({"run_ended": {"run": child, "status": "failed"}});
    let inputs = vec![(child, vec![Value::null()])];
    let flows = vec![plan(FLOW)];
    filled.append(Append { inputs, flows, ..filled.records(root, 1, &[sub_run, end]) }).await;
    let store = &filled.store;
    let listed = async |filter: RunFilter, after, most| {
        let rows = store.runs(filter, after, most).await.unwrap();
        rows.iter().map(|row| row.run).collect::<Vec<RunId>>()
    };
    let all = RunFilter::default;
    assert_eq!(listed(all(), None, 2).await, [child, root]);
    assert_eq!(listed(all(), Some(child), 1).await, [root]);
    assert_eq!(listed(RunFilter { root: Some(root), ..all() }, None, 9).await, [child, root]);
    assert_eq!(listed(RunFilter { parent: Some(root), ..all() }, None, 9).await, [child]);
    assert_eq!(listed(RunFilter { status: Some(ExecutionStatus::Failed), ..all() }, None, 9).await, [child]);
    assert_eq!(listed(RunFilter { root: Some(root), roots_only: true, ..all() }, None, 9).await, [root]);
    assert_eq!(listed(RunFilter { flow_name: Some("other".to_owned()), ..all() }, None, 9).await, []);
    let of_flow = RunFilter { flow_id: Some(plan(FLOW).flow_id), flow_name: Some("s".to_owned()), ..all() };
    assert_eq!(listed(of_flow, None, 1).await, [child]);
}

async fn flows_are_listed_from_the_newest(filled: &Filled<impl Store>) {
    let store = &filled.store;
    let (old, new) = (plan("{name: old, output: 1}"), plan("{name: new, description: d, output: 2}"));
    store.put(Arc::clone(&old), at(1_000)).await.unwrap();
    store.put(Arc::clone(&new), at(2_000)).await.unwrap();
    store.put(Arc::clone(&old), at(3_000)).await.unwrap();
    let page = store.flows(None, 1).await.unwrap().remove(0);
    assert_eq!((page.name.as_deref(), page.description.as_deref()), (Some("new"), Some("d")));
    let next = store.flows(Some((page.created_at, page.flow_id)), 1).await.unwrap().remove(0);
    assert_eq!((next.flow_id, next.created_at), (old.flow_id, at(1_000)), "a flow that is kept keeps its time");
    assert!(Journal::flow(&**store, new.flow_id).await.unwrap().is_some());
    let of_runs = store.flows(Some((next.created_at, next.flow_id)), 9).await.unwrap();
    assert_eq!(of_runs.iter().map(|row| row.version.as_deref()).collect::<Vec<_>>(), [Some("1")]);
}

async fn every_question_is_answered(store: Arc<impl Store>) {
    let mut filled = Filled::new(store).await;
    rows_follow_the_journal(&mut filled).await;
    what_is_not_there_has_no_rows(&filled).await;
    items_in_which_nothing_had_begun_end_with_their_run(&mut filled).await;
    a_run_has_the_plan_of_its_overrides(&mut filled).await;
    items_come_in_pages(&mut filled).await;
    attempts_tell_who_had_them_and_how_they_ended(&mut filled).await;
    runs_are_listed_from_the_newest_and_filtered(&mut filled).await;
    flows_are_listed_from_the_newest(&filled).await;
}

#[tokio::test]
async fn the_memory_store_answers_every_question() {
    every_question_is_answered(MemoryStore::new(Options::default())).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_sqlite_store_answers_every_question() {
    let folder = tempfile::tempdir().unwrap();
    let options = stepflow_store::sqlite::Options::new(folder.path().join("state.db"));
    every_question_is_answered(stepflow_store::SqliteStore::open(&options).unwrap()).await;
}
