//! Each request for a run gets one answer, whatever becomes of the run.

use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};
use stepflow_engine::ports::{StoreError, TaskEnvelope};
use stepflow_engine::{CancelError, Error, Options, Origin, Parent, Submission, shard_of};
use stepflow_protocol::{RunId, Value};
use tokio::task::JoinHandle;

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

/// A request of the attempt for a run with this key.
fn keyed(story: &Story, task: &TaskEnvelope, flow: &Json) -> JoinHandle<Result<RunId, Error>> {
    let engine = story.life.engine.clone();
    let origin = Origin { parent: Parent::Attempt(task.address()), key: Some("k".to_owned()), detached: false };
    let wanted = submission(flow, &[json!(5)]);
    story.ask(async move { engine.submit_from(origin, wanted).await })
}

#[test]
fn a_second_request_with_the_same_key_waits_for_the_first_one_to_be_durable() {
    let (mut story, root, task) = started();
    let asked = [keyed(&story, &task, &one("/t/null")), keyed(&story, &task, &one("/t/null"))];
    assert!(asked.iter().all(|asked| !asked.is_finished()));
    let other = keyed(&story, &task, &one("/t/echo"));
    assert!(matches!(story.answer(other), Err(Error::KeyTaken { .. })));
    story.store_all();
    let [first, second] = asked.map(|asked| story.answer(asked).unwrap());
    assert_eq!(first, second);
    story.finish(root);
    story.check(root);
}

#[test]
fn a_run_that_is_asked_for_as_its_tree_is_given_up_is_refused() {
    let mut story = new();
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/wrap", "input": 1},
        {"id": "b", "component": "/t/bomb", "input": {"$step": "a"}}],
        "output": {"$step": "b"}});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.life.host.bombs.store(u32::MAX, Ordering::Relaxed);
    story.store.set(|state| state.trees_wait = true);
    story.work("/wrap");
    // The first panic is over, and the tree is being read.
    let (asked, cancelled) = (story.request_below(root), story.cancel(root));
    assert!(!asked.is_finished() && !cancelled.is_finished());
    story.store.set(|state| state.trees_wait = false);
    story.store_all();
    assert!(matches!(story.answer(asked), Err(Error::NotOpen)));
    assert_eq!(story.answer(cancelled), Err(CancelError::NotRunning));
}

#[test]
fn runs_are_not_nested_without_end() {
    let (mut story, root, _) = started();
    let mut above = root;
    let mut depth = 0;
    let refused = loop {
        let asked = story.request_below(above);
        story.store_all();
        match story.answer(asked) {
            Ok(run) => above = run,
            Err(error) => break error,
        }
        depth += 1;
        assert!(depth < 100);
    };
    assert!(matches!(&refused, Error::TooDeep { most: 64, .. }), "{refused}");
    assert_eq!(depth, 64);
    story.finish(root);
    story.check(root);
}

#[test]
fn a_detached_run_is_a_root_of_its_own_with_the_variables_of_the_one_above() {
    let mut story = new();
    let flow = json!({"steps": [{"id": "a", "component": "/t/wrap", "input": 1}], "output": [{"$step": "a"}, {"$variable": "v"}]});
    let variables = Some(Value::from_json(&json!({"v": 7})));
    let root = story.begin(Submission { variables, ..submission(&flow, &[json!({})]) });
    story.store_all();
    let task = story.job("/wrap");
    story.start(task.task);
    let ask = |story: &Story, detached| {
        let engine = story.life.engine.clone();
        let origin = Origin { parent: Parent::Attempt(task.address()), key: None, detached };
        let wanted = submission(&flow, &[json!({})]);
        let asked = story.ask(async move { engine.submit_from(origin, wanted).await });
        story.store_all();
        story.answer(asked).unwrap()
    };
    let (inside, detached) = (ask(&story, false), ask(&story, true));
    assert!(story.store.journal(inside).is_empty(), "its events are in the journal of its root");
    drop(story.cancel(root));
    story.store_all();
    assert!(story.store.durable.run(inside).unwrap().status.is_terminal() && !story.is_ended(detached));
    story.watch(detached);
    story.finish(detached);
    story.check(detached);
    assert_eq!(story.results(detached), [Success(json!([{"got": 1}, 7]))]);
}
