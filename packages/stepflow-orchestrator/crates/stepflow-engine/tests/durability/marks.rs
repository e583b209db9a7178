//! The marks of attempts that workers have. A mark that is left behind would make an attempt guilty of a crash that it
//! has nothing to do with.

use std::time::Duration;

use serde_json::json;
use stepflow_engine::event::TaskRef;
use stepflow_protocol::RunId;

use super::openings::{new, one, two};
use super::story::{Story, submission};

/// A run with a marked attempt, and a step that stays open.
fn marked() -> (Story, RunId, TaskRef) {
    let mut story = new();
    let root = story.begin(submission(&two("/t/wrap", "/t/stuck"), &[json!({})]));
    story.store_all();
    let task = story.job("/wrap").task;
    story.start(task);
    story.settle();
    story.pass(Duration::from_secs(2));
    story.store_all();
    assert!(story.store.marked(root).contains(&task));
    (story, root, task)
}

#[test]
fn an_attempt_that_has_ended_is_not_marked_any_more() {
    let (story, root, task) = marked();
    story.life.host.answer(task, None);
    story.store_all();
    assert!(!story.is_ended(root) && story.store.marked(root).is_empty());
}

#[test]
fn whoever_takes_over_removes_the_marks_of_the_server_before() {
    let (mut story, root, task) = marked();
    story.crash();
    story.store_all();
    let again = story.job("/wrap").task;
    assert_eq!(again, TaskRef { attempt: 2, ..task });
    assert!(story.store.marked(root).is_empty());
    story.start(again);
    story.settle();
    story.store_all();
    assert!(story.store.marked(root).contains(&again));
}

#[test]
fn an_attempt_that_no_worker_has_any_more_is_not_marked() {
    let (story, root, task) = marked();
    story.life.host.inbox.waits(story.job("/wrap").address());
    story.store_all();
    assert!(!story.store.marked(root).contains(&task));
}

#[test]
fn an_attempt_that_waits_for_a_run_is_not_marked_until_it_goes_on() {
    let (story, root, task) = marked();
    let envelope = story.job("/wrap");
    let asked = story.request(&envelope, one("/t/null"));
    story.store_all();
    let run = story.answer(asked).unwrap();
    let engine = story.life.engine.clone();
    let waits = story.ask(async move { engine.ended(run, Some(envelope.address())).await });
    story.store_all();
    assert!(!story.store.marked(root).contains(&task));
    story.work("/null");
    story.store_all();
    story.answer(waits);
    story.pass(Duration::from_secs(2));
    story.store_all();
    assert!(story.store.marked(root).contains(&task));
    story.life.host.answer(task, None);
    story.store_all();
    story.check(root);
}
