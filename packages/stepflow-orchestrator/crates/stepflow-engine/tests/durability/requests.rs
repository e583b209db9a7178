//! Each request for a run gets one answer, whatever becomes of the run.

use std::sync::atomic::Ordering;

use serde_json::json;
use stepflow_engine::ports::StoreError;
use stepflow_engine::{Error, Options, Submission, shard_of};

use super::naive::Outcome::Success;
use super::openings::{new, one, one_of, started, two};
use super::story::{Story, submission};

fn named() -> Submission {
    Submission { idempotency_key: Some("n".to_owned()), ..one_of("/t/wrap") }
}

#[test]
fn a_run_whose_shard_belongs_to_another_server_gets_another_id() {
    let mut story = new();
    let asked = story.submit(named());
    let first = story.store.first().unwrap();
    story.store.owned(shard_of(first), 99);
    story.store_all();
    let root = story.answer(asked).unwrap();
    assert_ne!(shard_of(root), shard_of(first));
    assert!(story.store.journal(first).is_empty());
    let again = story.submit(named());
    story.store_all();
    assert_eq!(story.answer(again).unwrap(), root);
    story.watch(root);
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}

#[test]
fn a_server_that_owns_no_shard_any_more_refuses_a_run_after_a_few_ids() {
    let story = new();
    story.settle();
    (0..=u8::MAX).for_each(|shard| story.store.owned(shard, 99));
    let asked = story.submit(one_of("/t/wrap"));
    story.store_all();
    assert!(matches!(story.answer(asked), Err(Error::Store(StoreError::Fenced { .. }))));
    assert_eq!(story.store.lock().dealt, 4);
}

#[test]
fn a_worker_whose_run_makes_the_engine_panic_is_answered() {
    let (story, root, task) = started();
    story.life.host.bombs.store(u32::MAX, Ordering::Relaxed);
    let asked = story.request(&task, one("/t/bomb"));
    story.store_all();
    assert!(matches!(story.answer(asked), Err(Error::NotOpen)));
    assert_eq!(story.store.journal(root).len(), 2, "nothing of it was decided");
}

#[test]
fn a_run_that_is_asked_for_while_the_end_of_the_one_above_it_lacks_a_value_ends_with_it() {
    super::panics::watch();
    let mut story = Story::new(0, Options { cache_bytes: 0, ..Options::default() });
    let flow = two("/t/echo", "/t/wrap");
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.work("/echo");
    story.store_all();
    story.store.set(|state| state.contents_wait = true);
    story.work("/wrap");
    story.store_all();
    assert!(!story.is_ended(root), "its output needs a value that is not in memory");
    let asked = story.request_below(root);
    story.store_all();
    let below = story.answer(asked).unwrap();
    story.store.set(|state| state.contents_wait = false);
    story.store_all();
    story.finish(root);
    story.check(root);
    assert!(story.is_ended(below));
    assert_eq!(story.results(root), [Success(json!([1, {"got": 2}]))]);
}
