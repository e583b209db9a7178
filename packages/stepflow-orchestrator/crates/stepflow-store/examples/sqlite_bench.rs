//! What SQLite costs as a store, by hand: `cargo run --release -p stepflow-store --example sqlite_bench [folder]`.
//! Each append is what one sequential step costs: its end, and the next one scheduled.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark stops where it fails")]

#[path = "../tests/suite/fixtures.rs"]
#[allow(dead_code, reason = "the tests need more of them")]
mod fixtures;

use std::path::{Path, PathBuf};
use std::time::Instant;

use stepflow_engine::event::{
    AttemptEnded, AttemptOutcome, Budget, Event, Outcome, Reason, Route, StepEnded, StepRef, StepScheduled, TaskRef,
    ValueRef,
};
use stepflow_engine::ports::{Append, Journal};
use stepflow_protocol::{RunId, TaskId};
use stepflow_store::SqliteStore;
use stepflow_store::sqlite::Options;
use uuid::Uuid;

use crate::fixtures::{Owned, append, new_run, record, value};

/// What one step of a chain adds after this sequence.
fn step(root: RunId, after: u64) -> Append {
    let number = u32::try_from(after / 3).unwrap_or_default();
    let task = |number: u32| TaskRef { task_id: TaskId::from_uuid(Uuid::from_u128(number.into())), attempt: 1 };
    let at = |step| StepRef { run: root, item: 0, step };
    let ended = AttemptEnded {
        task: task(number),
        outcome: AttemptOutcome::Success,
        payload: Some(ValueRef::Inline(value("{\"n\":1,\"text\":\"a value of some forty bytes\"}"))),
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
    let records = vec![
        record(after + 1, Event::AttemptEnded(ended)),
        record(after + 2, Event::StepEnded(StepEnded { step: at(number), result, defaulted: false })),
        record(after + 3, Event::StepScheduled(scheduled)),
    ];
    Append { after, ..append(root, records) }
}

async fn appends(path: &Path, trees: u64) {
    let store = SqliteStore::open(&Options::new(path)).unwrap();
    let Owned { store, mut answers } = Owned::new(store).await;
    let ids: Vec<RunId> = (0..trees).map(|_| RunId::from_uuid(Uuid::now_v7())).collect();
    let created = Instant::now();
    let creates: Vec<_> = ids.iter().map(|id| store.create(new_run(*id))).collect();
    for create in creates {
        create.await.unwrap();
    }
    let created = created.elapsed();
    let total = if trees == 1 { 3_000 } else { 60_000 };
    let (before, began) = (store.gauge(), Instant::now());
    for id in &ids {
        store.append(step(*id, 1));
    }
    let (mut done, mut asked) = (0_u64, trees);
    while done < total {
        let written = answers.recv().await.unwrap().unwrap();
        done += 1;
        if asked < total {
            asked += 1;
            store.append(step(written.root, written.upto));
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
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for trees in [1, 32, 256] {
        let folder = tempfile::tempdir_in(&base).unwrap();
        appends(&folder.path().join("state.db"), trees).await;
    }
}
