//! How the processes of a plugin share the work and are replaced.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;
mod worker_fixture;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stepflow_engine::ports::{Answer, ComponentHost as _, TaskEnvelope};
use stepflow_hosts::{Health, InstanceState};
use stepflow_protocol::{ErrorKind, Value};
use suite::{InboxEvent, task};
use worker_fixture::{Builder, Fixture, worker};

const GRACE: Duration = Duration::from_millis(50);

fn stuck_worker(capacity: &str) -> Builder {
    worker("stuck").args(&[capacity]).cancel_grace(GRACE)
}

fn stuck() -> TaskEnvelope {
    task("/echo", Value::string("stuck"))
}

/// A task that ends when the pipe is released.
fn held(pipe: &Pipe) -> TaskEnvelope {
    task("/echo", Value::object([("until", Value::string(pipe.0.to_str().unwrap()))]))
}

/// A named pipe: its reader waits for `release`.
struct Pipe(PathBuf);

impl Pipe {
    fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self(path)
    }

    async fn release(&self) {
        let path = self.0.clone();
        tokio::task::spawn_blocking(|| std::fs::write(path, "")).await.unwrap().unwrap();
    }
}

async fn process(fixture: &mut Fixture) -> u64 {
    fixture.host.offer(task("/echo", Value::null()));
    fixture.events.output().await.deserialize().unwrap()
}

/// Waits for a process that is not this one.
async fn successor(fixture: &Fixture, of: u64) {
    let address = format!("pid {of}");
    let ready = || {
        let instances = fixture.host.instances();
        instances.iter().any(|instance| instance.state == InstanceState::Ready && instance.address != address)
    };
    suite::until("there is no successor", ready).await;
}

#[tokio::test]
async fn a_cancelled_attempt_that_goes_on_costs_its_process() {
    for how in ["", "--legacy"] {
        let mut fixture = stuck_worker("8").args(&[how]).start().await;
        let before = process(&mut fixture).await;
        let task = stuck();
        fixture.host.offer(task.clone());
        fixture.host.cancel(&task.route, task.address(), "enough");
        assert_eq!(fixture.events.answer().await, (task.task, Answer::Cancelled), "{how}");
        assert_ne!(process(&mut fixture).await, before, "{how}");
        assert_eq!(fixture.processes(), 1, "{how}");
        assert_eq!(fixture.host.health(), Health::Ready);
    }
}

#[tokio::test]
async fn an_attempt_that_ends_within_its_grace_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = Pipe::new(folder.path(), "pipe");
    let mut fixture = stuck_worker("8").cancel_grace(suite::PATIENCE * 10).start().await;
    let before = process(&mut fixture).await;
    let task = held(&pipe);
    fixture.host.offer(task.clone());
    fixture.host.cancel(&task.route, task.address(), "enough");
    pipe.release().await;
    // Too late to be cancelled: the engine handles that.
    assert_eq!(fixture.events.answer().await, (task.task, Answer::Success(Value::from(before))));
    assert_eq!(process(&mut fixture).await, before);
}

#[tokio::test]
async fn the_neighbours_of_a_stuck_attempt_end_well_while_a_successor_takes_the_new_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = Pipe::new(folder.path(), "pipe");
    let mut fixture = stuck_worker("8").start().await;
    let before = process(&mut fixture).await;
    let (task, neighbour) = (stuck(), held(&pipe));
    fixture.host.offer(task.clone());
    fixture.host.offer(neighbour.clone());
    fixture.host.cancel(&task.route, task.address(), "enough");
    successor(&fixture, before).await;
    let states: Vec<_> = fixture.host.instances().iter().map(|instance| (instance.state, instance.open)).collect();
    assert_eq!(states, [(InstanceState::Leaving, 2), (InstanceState::Ready, 0)]);
    pipe.release().await;
    assert_eq!(fixture.events.answer().await, (neighbour.task, Answer::Success(Value::from(before))));
    assert_eq!(fixture.events.answer().await, (task.task, Answer::Cancelled));
    assert_eq!(fixture.processes(), 1);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_process_that_is_leaving() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = Pipe::new(folder.path(), "pipe");
    let mut fixture = stuck_worker("8").shutdown_grace(Duration::ZERO).start().await;
    let before = process(&mut fixture).await;
    let (task, neighbour) = (stuck(), held(&pipe));
    fixture.host.offer(task.clone());
    fixture.host.offer(neighbour.clone());
    fixture.host.cancel(&task.route, task.address(), "enough");
    successor(&fixture, before).await;
    tokio::time::timeout(suite::PATIENCE, fixture.host.shutdown()).await.unwrap();
    assert_eq!(fixture.events.answer().await, (task.task, Answer::Cancelled));
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    assert!(!lost.spends);
    assert_eq!(fixture.processes(), 0);
}

#[tokio::test]
async fn each_process_of_a_plugin_has_its_share() {
    let folder = tempfile::tempdir().unwrap();
    let pipes = ["a", "b", "c"].map(|name| Pipe::new(folder.path(), name));
    let mut fixture = stuck_worker("1").instances(3).start().await;
    pipes.iter().for_each(|pipe| fixture.host.offer(held(pipe)));
    let mut instances = BTreeSet::new();
    while instances.len() < 3 {
        let InboxEvent::Started(_, Some(instance)) = fixture.events.next().await else { panic!("not started") };
        assert_eq!(instance.version.as_deref(), Some("1.4"));
        instances.insert(instance.name.clone());
    }
    let shown = fixture.host.instances();
    assert_eq!(shown.iter().map(|instance| instance.name.clone()).collect::<BTreeSet<_>>(), instances);
    assert!(shown.iter().all(|instance| (instance.capacity, instance.open) == (1, 1)));
    for pipe in &pipes {
        pipe.release().await;
        fixture.events.output().await;
    }
    fixture.host.shutdown().await;
    assert_eq!(fixture.processes(), 0);
}

#[tokio::test]
async fn one_process_that_crashes_leaves_the_others_to_their_work() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = Pipe::new(folder.path(), "pipe");
    let mut fixture = stuck_worker("1").instances(2).start().await;
    let (one, other) = (held(&pipe), stuck());
    fixture.host.offer(one.clone());
    fixture.host.offer(other.clone());
    let mut holder = None;
    for _ in 0..2 {
        let InboxEvent::Started(task, Some(instance)) = fixture.events.next().await else { panic!("not started") };
        holder = if task == other.task { Some(instance) } else { holder };
    }
    signal("KILL", holder.unwrap().name.trim_start_matches("python/"));
    let (lost, Answer::Lost(_)) = fixture.events.answer().await else { panic!("not lost") };
    assert_eq!(lost, other.task);
    pipe.release().await;
    let (answered, Answer::Success(_)) = fixture.events.answer().await else { panic!("not a success") };
    assert_eq!(answered, one.task);
}

#[tokio::test]
async fn a_plugin_that_starts_in_no_slot_refuses_its_tasks() {
    let mut fixture = worker("die_at_import").instances(2).build();
    fixture.host.offer(task("/echo", Value::null()));
    fixture.host.start().await.unwrap_err();
    assert_eq!(fixture.events.failure().await.kind, ErrorKind::Unreachable);
    fixture.host.shutdown().await;
    assert_eq!(fixture.processes(), 0);
}

#[tokio::test]
async fn the_stderr_that_is_kept_is_of_the_process_that_is_the_reason() {
    let policy = |policy: &mut stepflow_hosts::RestartPolicy| policy.crashes = 1000;
    let fixture = worker("die_at_import").restart(policy).build();
    fixture.host.start().await.unwrap_err();
    // The processes after it have not said anything yet.
    let mut following = BTreeSet::new();
    let three_more = async {
        while following.len() < 3 {
            assert!(fixture.host.stderr_tail().contains("a_module_that_is_not_there"));
            following.extend(fixture.host.instances().into_iter().map(|instance| instance.name));
            tokio::task::yield_now().await;
        }
    };
    suite::in_time("it is not started again", three_more).await;
}

#[tokio::test]
async fn a_worker_that_leaves_when_it_is_asked_to_has_its_successor_at_once() {
    let never = |policy: &mut stepflow_hosts::RestartPolicy| {
        (policy.first_delay, policy.max_delay) = (suite::PATIENCE * 10, suite::PATIENCE * 10);
        policy.crashes = 1;
    };
    let mut fixture = worker("graceful").restart(never).start().await;
    for _ in 0..3 {
        let before = process(&mut fixture).await;
        signal("TERM", &before.to_string());
        successor(&fixture, before).await;
    }
    assert_eq!(fixture.host.health(), Health::Ready);
}

#[tokio::test]
async fn a_worker_that_always_leaves_before_it_was_useful_is_unhealthy_in_the_end() {
    // A process that has lived longer than this counts as one that has done its work.
    let long = |policy: &mut stepflow_hosts::RestartPolicy| policy.max_delay = suite::PATIENCE * 10;
    let fixture = worker("graceful").restart(long).start().await;
    let mut asked = String::new();
    let leaving = async {
        while !matches!(fixture.host.health(), Health::Down(_)) {
            let instances = fixture.host.instances();
            if let Some(ready) = instances.iter().find(|it| it.state == InstanceState::Ready && it.address != asked) {
                asked.clone_from(&ready.address);
                signal("TERM", asked.trim_start_matches("pid "));
            }
            tokio::task::yield_now().await;
        }
    };
    suite::in_time("it is started again and again", leaving).await;
}

#[tokio::test]
async fn steps_fail_when_one_worker_after_the_other_accepts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lives = folder.path().join("lives");
    let soon = |policy: &mut stepflow_hosts::RestartPolicy| {
        policy.max_delay = std::time::Duration::from_millis(1);
        (policy.crashes, policy.pause) = (3, suite::PATIENCE * 10);
    };
    let mut fixture = worker("draining").args(&[lives.to_str().unwrap(), "--always"]).restart(soon).start().await;
    fixture.host.offer(task("/echo", Value::null()));
    let error = fixture.events.failure().await;
    assert!(error.message.contains("started 3 times and accepted no execute"), "{}", error.message);
}

#[tokio::test]
async fn a_worker_that_accepts_nothing_is_not_started_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let lives = folder.path().join("lives");
    let late = |policy: &mut stepflow_hosts::RestartPolicy| {
        (policy.first_delay, policy.max_delay) = (suite::PATIENCE * 10, suite::PATIENCE * 10);
    };
    let fixture = worker("draining").args(&[lives.to_str().unwrap(), "--always"]).restart(late).start().await;
    fixture.host.offer(task("/echo", Value::null()));
    suite::until("its successor is there already", || fixture.host.instances().is_empty()).await;
    assert_eq!(std::fs::read_to_string(lives).unwrap(), ".");
}

fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args(["-s", name, process]).status().unwrap().success());
}
