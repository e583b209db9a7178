//! What SQLite costs as a store, by hand: `cargo run --release -p stepflow-store --example sqlite_bench [folder]`.
//! Each append is what one sequential step costs: its end, and the next one scheduled.
#![allow(clippy::unwrap_used, reason = "a benchmark stops where it fails")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use stepflow_engine::Shards;
use stepflow_engine::event::{
    AttemptEnded, AttemptOutcome, Budget, Event, Outcome, Reason, Record, Route, RunCreated, StepEnded, StepRef,
    StepScheduled, TaskRef, ValueRef,
};
use stepflow_engine::ports::{Append, Commits, Journal, NewRun, StoreError, Written};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{RunId, TaskId, Value};
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::Options;
use tokio::sync::mpsc;
use uuid::Uuid;

struct Answers(mpsc::UnboundedSender<Vec<Written>>);

impl Commits for Answers {
    fn committed(&self, appends: Vec<Written>) {
        let _ = self.0.send(appends);
    }

    fn failed(&self, _: Vec<Written>, why: StoreError) {
        eprintln!("refused: {why}");
        std::process::exit(1);
    }
}

fn record(seq: u64, event: Event) -> Arc<Record> {
    Arc::new(Record { seq, at: Timestamp::now(), version: 1, event })
}

/// What one step of a chain adds after this sequence.
fn step(root: RunId, after: u64) -> Append {
    let number = u32::try_from(after / 3).unwrap_or_default();
    let task = |number: u32| TaskRef { task_id: TaskId::from_uuid(Uuid::from_u128(number.into())), attempt: 1 };
    let at = |step| StepRef { run: root, item: 0, step };
    let ended = AttemptEnded {
        task: task(number),
        outcome: AttemptOutcome::Success,
        payload: Some(ValueRef::Inline(Value::parse("{\"n\":1,\"text\":\"a value of some forty bytes\"}").unwrap())),
        error: None,
        spends: Budget::None,
        instance: None,
        suspects: 0,
    };
    let result = Outcome::Success(ValueRef::Row(after + 1));
    let scheduled = StepScheduled {
        step: at(number + 1),
        task: task(number + 1),
        component: "/python/echo".to_owned(),
        route: Route { plugin: "python".to_owned(), component: "/echo".to_owned() },
        input: ValueRef::Row(after + 1),
        reason: Reason::First,
    };
    Append {
        records: vec![
            record(after + 1, Event::AttemptEnded(ended)),
            record(after + 2, Event::StepEnded(StepEnded { step: at(number), result, defaulted: false })),
            record(after + 3, Event::StepScheduled(scheduled)),
        ],
        ..nothing(root, after)
    }
}

fn nothing(root: RunId, after: u64) -> Append {
    Append {
        root,
        epoch: 1,
        incarnation: 1,
        after,
        records: Vec::new(),
        flows: Vec::new(),
        inputs: Vec::new(),
        owes: Vec::new(),
        settles: Vec::new(),
        unmarks: Vec::new(),
        idle: false,
    }
}

fn new_run(run: RunId, plan: &Arc<Plan>) -> NewRun {
    let created = RunCreated {
        run,
        root: run,
        parent: None,
        parent_run: None,
        key: None,
        flow_id: plan.flow_id,
        items: 1,
        inputs: None,
        variables: None,
        overrides: None,
        limit: 1,
        deadline_at: None,
        semantics: 1,
        nested: None,
    };
    let append = Append {
        records: vec![record(1, Event::RunCreated(Box::new(created)))],
        inputs: vec![(run, vec![Value::null()])],
        ..nothing(run, 0)
    };
    NewRun { plan: Arc::clone(plan), idempotency_key: None, stage: None, append }
}

async fn appends(path: &Path, trees: u64, plan: &Arc<Plan>) {
    let store = SqliteStore::open(&Options::new(path)).unwrap();
    let (sender, mut answers) = mpsc::unbounded_channel();
    store.own(Shards::ALL, Arc::new(Answers(sender))).await.unwrap();
    let ids: Vec<RunId> = (0..trees).map(|_| RunId::from_uuid(Uuid::now_v7())).collect();
    let mut lasts = HashMap::new();
    let created = Instant::now();
    let creates: Vec<_> = ids.iter().map(|id| store.create(new_run(*id, plan))).collect();
    for create in creates {
        create.await.unwrap();
    }
    let created = created.elapsed();
    let total = if trees == 1 { 3_000 } else { 60_000 };
    let (before, began) = (store.gauge(), Instant::now());
    for id in &ids {
        store.append(step(*id, 1));
        lasts.insert(*id, 1_u64);
    }
    let (mut done, mut asked) = (0_u64, trees);
    while done < total {
        for written in answers.recv().await.unwrap() {
            done += 1;
            if asked < total {
                asked += 1;
                store.append(step(written.root, written.upto));
            }
            lasts.insert(written.root, written.upto);
        }
    }
    let (took, gauge) = (began.elapsed(), store.gauge());
    let per_append = |bytes: u64| bytes / total;
    let commits = gauge.commits - before.commits;
    println!(
        "{trees:>4} trees: {:>7.0} appends/s, {:>5.1} per commit, {:>6.0} µs per commit, {} B of WAL per append, \
         made at {:.0}/s",
        per_second(total, took),
        count(total) / count(commits),
        (gauge.commit_time - before.commit_time).as_secs_f64() * 1e6 / count(commits),
        per_append(gauge.wal_written - before.wal_written),
        per_second(trees, created),
    );
    let (mut events, mut bytes, began) = (0, 0, Instant::now());
    for id in &ids {
        let mut after = 0;
        loop {
            let page = store.read(*id, after, 1 << 20).await.unwrap();
            let Some(last) = page.records.last() else { break };
            after = last.seq;
            events += page.records.len() as u64;
            bytes += page.records.iter().map(|record| record.event.size() as u64).sum::<u64>();
        }
    }
    let took = began.elapsed();
    println!("            read: {:.0} events/s, {bytes} B of values", per_second(events, took));
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn count(number: u64) -> f64 {
    number as f64
}

fn per_second(number: u64, took: std::time::Duration) -> f64 {
    count(number) / took.as_secs_f64()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let text = "{name: s, steps: [{id: a, component: /x}], output: {$step: a}}";
    let flow = load(Source::yaml("flow.yaml", text)).flow.unwrap();
    let plan = Arc::new(Plan::compile(flow).unwrap());
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for trees in [1, 32, 256] {
        let folder = tempfile::tempdir_in(&base).unwrap();
        appends(&folder.path().join("state.db"), trees, &plan).await;
    }
}
