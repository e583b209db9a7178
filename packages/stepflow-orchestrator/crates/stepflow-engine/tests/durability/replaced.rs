//! Servers that are replaced and do not know it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value as Json, json};
use stepflow_engine::{CancelError, Error};
use stepflow_protocol::RunId;

use super::openings::{new, offered, one, one_of, started, two};
use super::store::Fate;
use super::story::{Story, submission};

#[test]
fn an_engine_that_was_replaced_changes_nothing_any_more() {
    let (mut story, root) = offered("/t/wrap");
    let old = story.replace();
    story.store_all();
    let task = story.life.host.jobs()[0].task.task;
    assert_eq!(task.attempt, 2);
    // The worker of the old engine answers it.
    let first = old.host.jobs()[0].task.task;
    {
        let _inside = old.runtime.enter();
        old.host.start(first);
    }
    old.host.answer(first, None);
    old.settle();
    story.store_all();
    old.settle();
    assert_eq!(story.store.lock().fenced, 1);
    assert!(!story.is_ended(root));
    let engine = old.engine.clone();
    let asked = old.runtime.spawn(async move { engine.submit(one_of("/t/wrap")).await });
    old.settle();
    // It tries other shards, and owns none.
    while !asked.is_finished() {
        assert!(story.store.first().is_some(), "there is no answer");
        story.store_all();
        old.settle();
    }
    assert!(matches!(old.runtime.block_on(asked).unwrap(), Err(Error::Store(_))));
    story.finish(root);
    story.check(root);
}

#[test]
fn a_cancel_that_a_replaced_engine_is_asked_for_is_not_confirmed() {
    let (mut story, root) = offered("/t/wrap");
    let old = story.replace();
    story.store_all();
    let engine = old.engine.clone();
    let asked = old.runtime.spawn(async move { engine.cancel(root, "a test", None).await });
    old.settle();
    story.store_all();
    old.settle();
    let answered = old.runtime.block_on(asked).unwrap();
    assert!(matches!(answered, Err(CancelError::Store(_))), "{answered:?}");
    story.finish(root);
    story.check(root);
}

/// A run of an engine that was replaced, with an answer that the engine wants to store.
fn answered_by_the_old(story: &mut Story, flow: &Json) -> RunId {
    let root = story.begin(submission(flow, &[json!({})]));
    story.store_all();
    story.work("/wrap");
    root
}

#[test]
fn an_engine_that_was_replaced_lets_go_of_a_run_when_it_is_told() {
    let mut story = new();
    let root = answered_by_the_old(&mut story, &two("/t/wrap", "/t/stuck"));
    let waits = story.wait(root);
    let old = story.replace();
    story.store.deal(root, Fate::Commit);
    story.store.deliver(false);
    old.settle();
    assert!(waits.is_finished(), "it does not wait for another engine's run");
    assert_eq!(old.host.jobs().iter().filter(|job| job.cancelled).count(), 1);
    // It does not try again.
    for _ in 0..10 {
        old.settle();
        story.pass(Duration::from_secs(10));
        story.store_all();
    }
    assert_eq!(story.store.lock().fenced, 1);
}

#[test]
fn a_panic_over_one_of_several_refusals_takes_none_of_the_others_with_it() {
    let mut story = new();
    let root = answered_by_the_old(&mut story, &two("/t/wrap", "/t/dud"));
    let other = answered_by_the_old(&mut story, &two("/t/wrap", "/t/stuck"));
    let (_, waits) = (story.wait(root), story.wait(other));
    let old = story.replace();
    old.host.bombs.store(1, Ordering::Relaxed);
    for root in [root, other] {
        story.store.deal(root, Fate::Commit);
    }
    story.store.deliver_together();
    old.settle();
    assert_eq!(old.host.bombs.load(Ordering::Relaxed), 0);
    assert!(waits.is_finished(), "the engine does not hold the other run any more");
}

#[test]
fn a_run_that_a_worker_of_a_replaced_engine_asks_for_is_refused() {
    let (mut story, root, task) = started();
    let asked = story.request(&task, one("/t/null"));
    let old = story.replace();
    story.store_all();
    old.settle();
    assert!(asked.is_finished(), "nobody else would answer it");
    assert!(matches!(old.runtime.block_on(asked).unwrap(), Err(Error::NotOpen)));
    story.finish(root);
    story.check(root);
}
