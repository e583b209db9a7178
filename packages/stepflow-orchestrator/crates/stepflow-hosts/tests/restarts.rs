//! What a worker that crashes again and again leaves behind. Alone in its file: it counts the open files of this
//! process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;
mod worker_fixture;

use std::time::Duration;

use stepflow_engine::ports::{Answer, ComponentHost as _};
use suite::{json, task};
use worker_fixture::{Fixture, worker};

const RESTARTS: u32 = 200;

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

async fn crash(fixture: &mut Fixture) {
    fixture.host.offer(task("/echo", json(r#"{"die":9}"#)));
    assert!(matches!(fixture.events.answer().await.1, Answer::Lost(_)));
}

#[tokio::test]
async fn two_hundred_crashes_leave_nothing_behind() {
    let policy = |policy: &mut stepflow_hosts::RestartPolicy| {
        policy.crashes = RESTARTS * 2;
        policy.max_delay = Duration::from_millis(1);
    };
    let mut fixture = worker("crash").restart(policy).start().await;
    crash(&mut fixture).await;
    fixture.host.offer(task("/echo", json("{}")));
    fixture.events.output().await;
    let before = (open_files(), threads());
    for _ in 0..RESTARTS {
        crash(&mut fixture).await;
    }
    fixture.host.offer(task("/echo", json("{}")));
    fixture.events.output().await;
    assert_eq!((open_files(), threads()), before);
    assert_eq!(fixture.processes(), 1);
    fixture.host.shutdown().await;
    assert_eq!(fixture.processes(), 0);
}
