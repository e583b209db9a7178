//! What every store must do, whatever it is made of; and what is the memory store's own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use jiff::Timestamp;
use stepflow_engine::Shards;
use stepflow_engine::event::{
    AttemptEnded, AttemptOutcome, Budget, Event, ItemEnded, Outcome, Record, RunCreated, RunEnded, StepEnded, StepRef,
    TaskRef, ValueRef,
};
use stepflow_engine::ports::{
    Append, Blob, Blobs, Commits, Created, Due, Durability, Journal, NewRun, OpenRoot, StoreError, Written,
};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{BlobType, ExecutionStatus, FlowResult, RunId, TaskId, Value, content_id};
use stepflow_store::{MemoryStore, Options};
use tokio::sync::mpsc;
use uuid::Uuid;

fn value(text: &str) -> Value {
    Value::parse(text).unwrap()
}

fn record(seq: u64, event: Event) -> Arc<Record> {
    Arc::new(Record { seq, at: Timestamp::UNIX_EPOCH, version: 1, event })
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
        plan: plan(),
        idempotency_key: None,
        append: Append {
            after: 0,
            inputs: vec![(run, vec![value("{\"in\":1}")])],
            ..append(run, vec![record(1, Event::RunCreated(Box::new(created)))])
        },
    }
}

/// The rest of a run whose only step returned `output`.
fn ending(run: RunId, output: &str) -> Vec<Arc<Record>> {
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

/// What follows the first event.
fn append(root: RunId, records: Vec<Arc<Record>>) -> Append {
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

/// What a store says of appends.
#[derive(Clone)]
struct Answers(mpsc::UnboundedSender<Result<Written, (Written, StoreError)>>);

impl Commits for Answers {
    fn committed(&self, appends: Vec<Written>) {
        appends.into_iter().for_each(|written| drop(self.0.send(Ok(written))));
    }

    fn failed(&self, appends: Vec<Written>, why: StoreError) {
        appends.into_iter().for_each(|written| drop(self.0.send(Err((written, why.clone())))));
    }
}

/// A store with an owner.
struct Owned<S> {
    store: Arc<S>,
    answers: mpsc::UnboundedReceiver<Result<Written, (Written, StoreError)>>,
}

impl<S: Journal> Owned<S> {
    async fn new(store: Arc<S>) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        store.own(Shards::ALL, Arc::new(Answers(sender))).await.unwrap();
        Self { store, answers }
    }

    /// Appends, and waits until it is known what has become of it.
    async fn append(&mut self, append: Append) -> Result<(), StoreError> {
        let upto = append.upto();
        match self.store.append(append) {
            Durability::Now => Ok(()),
            Durability::Later => loop {
                match self.answers.recv().await.unwrap() {
                    Ok(written) if written.upto >= upto => return Ok(()),
                    Ok(_) => {}
                    Err((_, why)) => return Err(why),
                }
            },
        }
    }

    async fn value(&self, run: RunId, place: ValueRef) -> Option<Value> {
        self.store.values(run, vec![place]).await.unwrap().remove(0)
    }
}

async fn a_journal_is_read_back_as_it_was_written(owned: &mut Owned<impl Journal>) {
    let run = run_id(1);
    let new = new_run(run);
    let mut written = new.append.records.clone();
    assert_eq!(owned.store.create(new).await.unwrap(), Created::New);
    owned.append(append(run, ending(run, "[1]"))).await.unwrap();
    written.extend(ending(run, "[1]"));
    let read = async |after| owned.store.read(run, after, usize::MAX).await.unwrap().records;
    assert_eq!(read(0).await, written);
    assert_eq!(read(3).await, written[3..]);
    assert_eq!(read(5).await, []);
    let page = owned.store.read(run, 0, 1).await.unwrap();
    assert_eq!((page.records.len(), page.epoch), (1, 1), "a page has one event at least");
}

async fn an_append_that_does_not_follow_is_refused_and_so_is_one_of_an_owner_of_before(
    owned: &mut Owned<impl Journal>,
) {
    let run = run_id(10);
    owned.store.create(new_run(run)).await.unwrap();
    let gap = Append { after: 3, ..append(run, ending(run, "1")) };
    assert_eq!(owned.append(gap).await, Err(StoreError::Conflict { after: 3, last: 1 }));
    let nowhere = append(run_id(98), ending(run, "1"));
    assert!(matches!(owned.append(nowhere).await, Err(StoreError::NotFound { .. })));
    let before = Append { epoch: 0, ..append(run, ending(run, "1")) };
    assert_eq!(owned.append(before).await, Err(StoreError::Fenced { ours: 0, theirs: 1 }));
    owned.append(append(run, ending(run, "1"))).await.unwrap();
}

async fn values_are_found_by_their_place(owned: &mut Owned<impl Journal>) {
    let run = run_id(2);
    owned.store.create(new_run(run)).await.unwrap();
    let sub_run = (run_id(3), vec![value("1"), value("2")]);
    let inputs = vec![sub_run];
    owned.append(Append { inputs, ..append(run, ending(run, "{\"out\":1.0}")) }).await.unwrap();
    for row in [2, 3, 4] {
        assert_eq!(owned.value(run, ValueRef::Row(row)).await, Some(value("{\"out\":1.0}")), "row {row}");
    }
    assert_eq!(owned.value(run, ValueRef::Item(run, 0)).await, Some(value("{\"in\":1}")));
    assert_eq!(owned.value(run, ValueRef::Item(run_id(3), 1)).await, Some(value("2")));
    assert_eq!(owned.value(run, ValueRef::Row(5)).await, None);
    assert_eq!(owned.value(run, ValueRef::Blob(content_id(b"absent"))).await, None);
    assert!(matches!(owned.store.read(run_id(99), 0, 1).await, Err(StoreError::NotFound { what: "run", .. })));
    assert!(owned.store.flow(plan().flow_id).await.unwrap().is_some());
}

async fn a_key_makes_one_run(owned: &mut Owned<impl Journal>) {
    let keyed = |run| NewRun { idempotency_key: Some("key".to_owned()), ..new_run(run) };
    assert_eq!(owned.store.create(keyed(run_id(20))).await.unwrap(), Created::New);
    assert_eq!(owned.store.create(keyed(run_id(21))).await.unwrap(), Created::Existing(run_id(20)));
    assert_eq!(owned.store.find(run_id(21)).await.unwrap(), None);
}

async fn open_trees_their_due_times_and_marks_are_found(owned: &mut Owned<impl Journal>) {
    let (first, second) = (run_id(30), run_id(31));
    let task = TaskRef { task_id: TaskId::from_uuid(Uuid::from_u128(7)), attempt: 1 };
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    for run in [first, second] {
        let mut new = new_run(run);
        new.append.owes = vec![Due { at: at(9), seq: 1 }];
        owned.store.create(new).await.unwrap();
    }
    owned.store.mark(first, 1, vec![task]).await.unwrap();
    assert_eq!(owned.store.read(first, 0, 1).await.unwrap().marked, [task]);
    let open = async |after, most| {
        let all = owned.store.open_roots(Shards::ALL, after, most).await.unwrap();
        all.into_iter().filter(|open| [first, second].contains(&open.root)).collect::<Vec<OpenRoot>>()
    };
    assert_eq!(open(None, 1_000).await.len(), 2);
    assert_eq!(open(Some(first), 1).await, [OpenRoot { root: second, idle: false }]);
    let due = async |upto, after| owned.store.due(Shards::ALL, at(upto), after, 10).await.unwrap();
    assert_eq!(due(9, None).await, []);
    assert_eq!(due(10, None).await, [(at(9), first), (at(9), second)]);
    assert_eq!(due(10, Some((at(9), first))).await, [(at(9), second)]);
    let settled = Append { settles: vec![1], unmarks: vec![task], idle: true, ..append(first, ending(first, "1")) };
    owned.append(settled).await.unwrap();
    let due = owned.store.due(Shards::ALL, at(10), None, 10).await.unwrap();
    assert_eq!(due, [(at(9), second)]);
    assert_eq!(owned.store.read(first, 0, 1).await.unwrap().marked, []);
    let standing = owned.store.find(first).await.unwrap().unwrap();
    assert!(standing.ended && standing.root == first);
    owned.store.give_up(second, 1, "why".to_owned()).await.unwrap();
    assert_eq!(owned.store.find(second).await.unwrap().unwrap().given_up.as_deref(), Some("why"));
    let open = owned.store.open_roots(Shards::ALL, None, 1_000).await.unwrap();
    assert!(open.iter().all(|open| open.root != second), "a tree that was given up is not open");
}

async fn every_owner_has_a_number_and_knows_whether_the_one_before_left(store: &impl Journal) {
    let (sender, _answers) = mpsc::unbounded_channel();
    let shards = Shards::of_driver(3, 200);
    let own = async || store.own(shards, Arc::new(Answers(sender.clone()))).await.unwrap()[0];
    let first = own().await;
    store.leave(shards).await.unwrap();
    let second = own().await;
    let third = own().await;
    assert_eq!((second.epoch > first.epoch, second.clean), (true, true));
    assert_eq!((third.epoch > second.epoch, third.clean), (true, false));
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
    content_is_kept_under_the_hash_of_its_canonical_text(&*store).await;
    every_owner_has_a_number_and_knows_whether_the_one_before_left(&*MemoryStore::new(Options::default())).await;
    let mut owned = Owned::new(store).await;
    a_journal_is_read_back_as_it_was_written(&mut owned).await;
    an_append_that_does_not_follow_is_refused_and_so_is_one_of_an_owner_of_before(&mut owned).await;
    values_are_found_by_their_place(&mut owned).await;
    a_key_makes_one_run(&mut owned).await;
    open_trees_their_due_times_and_marks_are_found(&mut owned).await;
}

#[tokio::test]
async fn rows_follow_the_journal() {
    let store = MemoryStore::new(Options::default());
    let run = run_id(3);
    store.create(new_run(run)).await.unwrap();
    let row = store.run(run).unwrap();
    assert_eq!((row.status, row.items.running, row.flow_name.as_deref()), (ExecutionStatus::Running, 1, Some("s")));
    assert_eq!(store.items(run)[0].result, None);
    assert_eq!(store.append(append(run, ending(run, "5"))), Durability::Now);
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
        store.append(append(run, ending(run, "0")));
    }
    store.create(new_run(run_id(4))).await.unwrap();
    let kept: Vec<bool> = (1..=4).map(|number| store.run(run_id(number)).is_some()).collect();
    assert_eq!(kept, [false, true, true, true]);
}
