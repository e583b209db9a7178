//! What the store could not say is asked again: after growing pauses, and without losing what it was asked for.

use std::time::Duration;

use serde_json::json;
use stepflow_engine::Options;
use stepflow_engine::ports::{Answer, Lost};
use stepflow_flow::Backoff;
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::naive::Outcome::Success;
use super::openings::{new, one_of};
use super::story::{Story, submission};

#[test]
fn a_late_success_is_not_lost_when_its_run_cannot_be_looked_for() {
    super::panics::watch();
    // A retry that comes soon keeps the tree in memory.
    let backoff = Backoff::Constant { delay: Duration::from_secs(60) };
    let options = Options { backoff, park_after: Duration::ZERO, idle_bytes: 0, ..Options::default() };
    let mut story = Story::new(0, options);
    let root = story.begin(one_of("/t/wrap"));
    story.store_all();
    let first = story.job("/wrap");
    story.start(first.task);
    let error = FlowError::new(ErrorKind::Unreachable, "gone");
    let lost = Answer::Lost(Lost { error, spends: true, back_off: true, suspects: 0 });
    story.life.host.answer(first.task, Some(lost));
    story.store_all();
    // It waits for its retry, and has left memory.
    story.pass(Duration::from_millis(1));
    story.store.set(|state| state.down = true);
    let asked = |story: &Story| story.store.lock().asked;
    let before = asked(&story);
    story.life.host.inbox.answer(first.address(), Answer::Success(Value::from(9_u64)));
    (0..100).for_each(|_| story.pass(Duration::from_millis(50)));
    assert!(!story.is_ended(root));
    assert!((5..15).contains(&(asked(&story) - before)), "{} times in five seconds", asked(&story) - before);
    story.store.set(|state| state.down = false);
    story.pass(Duration::from_secs(5));
    story.store_all();
    assert!(story.is_ended(root), "the retry is not due");
    assert_eq!(story.results(root), [Success(json!(9))]);
    story.check(root);
}

#[test]
fn contents_that_cannot_be_read_are_not_asked_for_without_a_pause() {
    let mut story = new();
    let steps = json!([
        {"id": "a", "component": "/t/sleep", "input": {"duration_ms": 600_000, "passthrough": 1}},
        {"id": "b", "component": "/t/wrap", "input": {"$step": "a", "path": "$.passthrough"}}]);
    let root = story.begin(submission(&json!({"steps": steps, "output": {"$step": "b"}}), &[json!({})]));
    story.store_all();
    story.restart();
    story.store.set(|state| state.no_contents = true);
    story.pass(Duration::from_secs(600));
    for seconds in 0..120 {
        let before = story.store.lock().contents_asked;
        for _ in 0..20 {
            story.pass(Duration::from_millis(50));
            story.store_all();
        }
        let asked = story.store.lock().contents_asked - before;
        let most = if seconds < 5 { 20 } else { 2 };
        assert!(asked <= most, "{asked} times in a second, after {seconds} seconds");
    }
    assert!(story.store.lock().contents_asked > 10);
    story.store.set(|state| state.no_contents = false);
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}

#[test]
fn a_journal_that_cannot_be_read_is_asked_for_with_growing_pauses() {
    let mut story = new();
    // Nobody watches it: a subscriber reads the journal, too.
    let asked = story.submit(one_of("/t/wrap"));
    story.store_all();
    let root = story.answer(asked).unwrap();
    story.crash();
    story.store.set(|state| state.trees_wait = true);
    story.settle();
    story.store.set(|state| (state.trees_wait, state.down) = (false, true));
    story.settle();
    for seconds in 0..60 {
        let before = story.store.lock().trees_asked;
        (0..20).for_each(|_| story.pass(Duration::from_millis(50)));
        let asked = story.store.lock().trees_asked - before;
        let most = if seconds < 5 { 10 } else { 1 };
        assert!(asked <= most, "{asked} times in a second, after {seconds} seconds");
    }
    story.store.set(|state| state.down = false);
    story.pass(Duration::from_secs(5));
    story.store_all();
    story.job("/wrap");
    story.finish(root);
    story.check(root);
}

#[test]
fn open_runs_that_could_not_be_listed_are_listed_later() {
    let mut story = new();
    let root = story.begin(one_of("/t/wrap"));
    story.store_all();
    story.crash();
    story.store.set(|state| state.no_roots = true);
    story.pass(Duration::from_secs(1));
    assert!(story.life.host.jobs().is_empty());
    story.store.set(|state| state.no_roots = false);
    story.pass(Duration::from_secs(1));
    story.store_all();
    story.job("/wrap");
    story.finish(root);
    story.check(root);
}
