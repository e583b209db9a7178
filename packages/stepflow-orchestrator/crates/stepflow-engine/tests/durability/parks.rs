//! Trees that only wait leave memory, but only when others need the room. Whether a tree was in memory shows in what
//! the store is asked for.

use std::time::Duration;

use serde_json::json;
use stepflow_engine::Options;
use stepflow_protocol::RunId;

use super::openings::{new, parking};
use super::questions::sleeper;
use super::store::Fate;
use super::story::{Story, submission};

/// Asks the tree for a run, and has it made and done. Returns how often a journal was read for it.
fn reads_for_a_run(story: &mut Story, root: RunId) -> u64 {
    let before = story.store.lock().trees_asked;
    let asked = story.request_below(root);
    story.store_all();
    story.answer(asked).unwrap();
    let reads = story.store.lock().trees_asked - before;
    story.work("/null");
    story.store_all();
    reads
}

#[test]
fn an_idle_tree_stays_in_memory_while_there_is_room() {
    let mut story = new();
    let root = story.begin(sleeper());
    story.store_all();
    for _ in 0..3 {
        story.pass(Duration::from_secs(2));
        assert_eq!(reads_for_a_run(&mut story, root), 0);
    }
    story.finish(root);
    story.check(root);
}

#[test]
fn an_idle_tree_leaves_memory_when_there_is_no_room() {
    let mut story = parking();
    let root = story.begin(sleeper());
    story.store_all();
    for _ in 0..3 {
        story.pass(Duration::from_millis(1));
        assert!(reads_for_a_run(&mut story, root) > 0);
    }
    story.finish(root);
    story.check(root);
}

#[test]
fn a_tree_that_is_not_idle_any_more_stays_in_memory() {
    super::panics::watch();
    // It is idle after a while, and there is no room for it.
    let mut story = Story::new(0, Options { idle_bytes: 0, ..Options::default() });
    let root = story.begin(sleeper());
    story.store_all();
    for _ in 0..5 {
        story.pass(Duration::from_millis(600));
        assert_eq!(reads_for_a_run(&mut story, root), 0, "it was idle for less than a second");
    }
    let asked = story.request_below(root);
    story.store_all();
    story.answer(asked).unwrap();
    story.pass(Duration::from_secs(5));
    let before = story.store.lock().trees_asked;
    story.work("/null");
    story.store_all();
    assert_eq!(story.store.lock().trees_asked, before, "it had an open attempt");
    story.finish(root);
    story.check(root);
}

#[test]
fn a_tree_that_was_idle_again_and_again_takes_no_more_room_than_it_is_large() {
    super::panics::watch();
    let mut story = Story::new(0, Options { idle_bytes: 64 << 10, ..Options::default() });
    let root = story.begin(sleeper());
    story.store_all();
    for _ in 0..30 {
        story.pass(Duration::from_secs(2));
        assert_eq!(reads_for_a_run(&mut story, root), 0);
    }
    // Many others fill the room, and this one leaves last: its journal is the longest.
    for _ in 0..40 {
        drop(story.submit(sleeper()));
        story.store_all();
    }
    story.pass(Duration::from_secs(2));
    assert_eq!(reads_for_a_run(&mut story, root), 0);
    story.finish(root);
}

#[test]
fn the_runs_of_a_tree_that_left_memory_are_found_again() {
    let mut story = parking();
    let root = story.begin(sleeper());
    story.store_all();
    let asked = story.request_below(root);
    story.store_all();
    let below = story.answer(asked).unwrap();
    story.work("/null");
    story.store_all();
    story.pass(Duration::from_millis(1));
    let waits = story.wait(below);
    story.answer(waits);
    let cancelled = story.cancel(root);
    story.store.deal(root, Fate::Commit);
    story.store_all();
    assert_eq!(story.answer(cancelled), Ok(()));
    story.finish(root);
    story.check(root);
}

#[test]
fn a_tree_that_left_memory_is_back_for_a_time_that_comes_soon() {
    let mut story = parking();
    let input = json!({"duration_ms": 20_000});
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/sleep", "input": input},
        {"id": "b", "component": "/t/wrap", "input": {"$step": "a"}}],
        "output": {"$step": "b"}});
    let root = story.begin(submission(&flow, &[json!({})]));
    for _ in 0..20 {
        story.store_all();
        assert!(story.life.host.jobs().is_empty());
        story.pass(Duration::from_secs(1));
    }
    story.store_all();
    story.job("/wrap");
    story.finish(root);
    story.check(root);
}

#[test]
fn more_times_than_one_page_are_known_to_the_next_server() {
    let mut story = new();
    (0..1_100).for_each(|_| drop(story.submit(sleeper())));
    story.store_all();
    story.restart();
    story.store_all();
    for _ in 0..30 {
        story.pass(Duration::from_secs(20));
        story.store_all();
    }
    story.pass(Duration::from_secs(1));
    story.store_all();
    assert_eq!(story.life.host.jobs().len(), 1_100);
    assert_eq!(story.store.violations(), Vec::<String>::new());
}
