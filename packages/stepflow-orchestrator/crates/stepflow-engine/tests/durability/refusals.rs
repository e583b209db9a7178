//! Appends that are refused, or that are answered as if they were.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use stepflow_engine::event::{Event, TaskRef};
use stepflow_engine::ports::{Answer, TaskEnvelope};
use stepflow_engine::{Error, Submission};
use stepflow_protocol::{RunId, Value};

use super::flows::sub_flow;
use super::naive::Outcome::Success;
use super::openings::{new, offered, one, one_of, started, two};
use super::store::Fate;
use super::story::{Story, submission};

fn created(story: &Story, root: RunId) -> Vec<RunId> {
    let made = |event: &Event| match event {
        Event::RunCreated(created) => Some(created.run),
        _ => None,
    };
    story.store.journal(root).iter().filter_map(|record| made(&record.event)).collect()
}

#[test]
fn what_follows_a_refused_append_may_be_answered_late() {
    let mut story = new();
    let flow = two("/t/echo", "/t/wrap");
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.work("/echo");
    story.work("/wrap");
    story.store.deal(root, Fate::Refuse);
    story.store.deal(root, Fate::Commit);
    story.store.deliver(false);
    story.settle();
    // Another machine decides now. It must ignore the answer to the second append of the first machine.
    story.store.deal(root, Fate::Commit);
    story.store.deliver(true);
    story.settle();
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!([1, {"got": 2}]))]);
}

#[test]
fn an_answer_whose_append_fails_is_not_lost_and_its_attempt_is_not_offered_again() {
    for fate in [Fate::Refuse, Fate::Doubt] {
        let (story, root) = offered("/t/wrap");
        story.work("/wrap");
        story.store.deal(root, fate);
        story.store.deliver(false);
        story.store_all();
        assert!(story.is_ended(root));
        story.check(root);
        assert_eq!(story.life.host.offers.lock().unwrap().len(), 1);
    }
}

#[test]
fn a_refused_sub_run_keeps_its_number_and_is_found_by_the_next_attempt() {
    let (mut story, root, task) = started();
    let ask = |story: &Story, task: &TaskEnvelope| story.request(task, one("/t/null"));
    let first = ask(&story, &task);
    story.store_all();
    let first = story.answer(first).unwrap();
    let second = ask(&story, &task);
    story.store.deal(root, Fate::Refuse);
    story.store.deliver(false);
    story.settle();
    assert!(!second.is_finished(), "it is not durable");
    story.store_all();
    let second = story.answer(second).unwrap();
    assert_eq!(created(&story, root), [root, first, second]);
    story.crash();
    story.store_all();
    let task = story.job("/wrap");
    assert_eq!(task.task.attempt, 2);
    let found = [ask(&story, &task), ask(&story, &task)].map(|asked| story.answer(asked).unwrap());
    assert_eq!(found, [first, second]);
    story.finish(root);
    story.check(root);
}

#[test]
fn a_flow_that_a_refused_append_brought_is_stored_with_the_next() {
    for fate in [Fate::Refuse, Fate::Doubt] {
        let mut story = new();
        let input = json!({"workflow": {"$literal": sub_flow("/t/null")}, "items": [{"$step": "a"}]});
        let flow = json!({"steps": [
            {"id": "a", "component": "/t/echo", "input": 1},
            {"id": "m", "component": "/t/map", "input": input}],
            "output": {"$step": "m", "path": "$.successful"}});
        let root = story.begin(submission(&flow, &[json!({})]));
        story.store_all();
        story.work("/echo");
        story.store.deal(root, fate);
        story.store.deliver(false);
        story.store_all();
        story.crash();
        story.finish(root);
        story.check(root);
        assert_eq!(story.results(root), [Success(json!(1))]);
    }
}

#[test]
fn a_creation_that_is_refused_is_told_and_no_run_goes_on() {
    let mut story = new();
    let asked = story.submit(one_of("/t/wrap"));
    let root = story.store.queued()[0];
    story.store.deal(root, Fate::Refuse);
    story.store_all();
    assert!(matches!(story.answer(asked), Err(Error::Store(_))));
    story.store_all();
    assert!(story.store.journal(root).is_empty() && story.life.host.jobs().is_empty());
    // Other trees are not affected.
    let other = story.begin(one_of("/t/wrap"));
    story.finish(other);
    story.check(other);
}

#[test]
fn a_creation_that_is_durable_all_the_same_is_told_as_refused_and_the_run_goes_on() {
    let mut story = new();
    let asked = story.submit(one_of("/t/wrap"));
    let root = story.store.queued()[0];
    story.store.deal(root, Fate::Doubt);
    story.store.deliver(false);
    story.store_all();
    assert!(matches!(story.answer(asked), Err(Error::Store(_))));
    story.watch(root);
    story.finish(root);
    story.check(root);
}

#[test]
fn a_store_that_is_down_refuses_creations() {
    let story = new();
    story.settle();
    story.store.set(|state| state.down = true);
    let asked = story.submit(one_of("/t/wrap"));
    assert!(matches!(story.answer(asked), Err(Error::Store(_))));
}

#[test]
fn a_second_creation_of_one_name_is_answered_with_the_first_run() {
    let mut story = new();
    let named = || Submission { idempotency_key: Some("n".to_owned()), ..one_of("/t/wrap") };
    let root = story.begin(named());
    let again = story.submit(named());
    story.store_all();
    assert_eq!(story.answer(again).unwrap(), root);
    story.finish(root);
    story.check(root);
}

#[test]
fn a_late_success_of_a_lost_attempt_ends_its_step() {
    let (mut story, root) = offered("/t/wrap");
    let first = story.job("/wrap");
    story.start(first.task);
    story.life.host.answer(first.task, Some(super::host::lost(true)));
    story.store_all();
    let second = story.job("/wrap");
    assert_eq!(second.task, TaskRef { attempt: 2, ..first.task });
    story.life.host.inbox.answer(first.address(), Answer::Success(Value::from(9_u64)));
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!(9))]);
}

#[test]
fn a_late_success_ends_its_step_for_another_owner_too() {
    let (mut story, root) = offered("/t/wrap");
    let first = story.job("/wrap");
    story.start(first.task);
    story.crash();
    story.store_all();
    story.life.host.inbox.answer(first.address(), Answer::Success(Value::from(9_u64)));
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!(9))]);
}

#[test]
fn a_store_that_refuses_everything_is_not_asked_without_a_pause() {
    let (mut story, root) = offered("/t/wrap");
    story.work("/wrap");
    for seconds in 0..60 {
        let mut refused = 0;
        while let Some(root) = story.store.first() {
            story.store.deal(root, Fate::Refuse);
            story.store.deliver(false);
            story.settle();
            refused += 1;
            assert!(refused <= 20, "{refused} appends in a second, after {seconds} seconds");
        }
        story.pass(Duration::from_secs(1));
    }
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}

#[test]
fn a_tree_is_read_again_at_once_after_the_first_refusal_and_soon_after_the_second() {
    let (mut story, root) = offered("/t/wrap");
    let refuse = |story: &Story| {
        story.store.deal(root, Fate::Refuse);
        story.store.deliver(false);
        story.settle();
    };
    story.work("/wrap");
    refuse(&story);
    assert_eq!(story.store.first(), Some(root));
    refuse(&story);
    assert_eq!(story.store.first(), None);
    story.pass(Duration::from_millis(50));
    assert_eq!(story.store.first(), Some(root));
    story.finish(root);
    story.check(root);
}

#[test]
fn a_refusal_after_something_was_stored_is_a_first_one_again() {
    let mut story = new();
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/wrap", "input": 1},
        {"id": "b", "component": "/t/echo", "input": {"$step": "a"}}],
        "output": {"$step": "b"}});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    for component in ["/wrap", "/echo"] {
        story.work(component);
        story.store.deal(root, Fate::Refuse);
        story.store_all();
    }
    assert!(story.is_ended(root), "the clock has not moved");
    story.check(root);
}

#[test]
fn panics_count_only_while_nothing_is_stored_between_them() {
    let mut story = new();
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/dud", "input": 1},
        {"id": "b", "component": "/t/dud", "input": {"$step": "a"}}],
        "output": {"$step": "b"}});
    story.life.host.bombs.store(2, Ordering::Relaxed);
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.job("/dud");
    story.life.host.bombs.store(2, Ordering::Relaxed);
    story.finish(root);
    assert_eq!(story.life.host.bombs.load(Ordering::Relaxed), 0);
    assert_eq!(story.store.violations(), Vec::<String>::new());
}

#[test]
fn a_panic_between_two_inputs_that_are_given_again_loses_neither() {
    let mut story = new();
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/wrap", "input": 1},
        {"id": "b", "component": "/t/bomb", "input": {"$step": "a"}},
        {"id": "c", "component": "/t/echo", "input": 2}],
        "output": [{"$step": "b"}, {"$step": "c"}]});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.work("/wrap");
    story.work("/echo");
    // Neither answer is durable, and the first one makes the next machine panic.
    story.life.host.bombs.store(1, Ordering::Relaxed);
    story.store.deal(root, Fate::Refuse);
    story.store.deliver(false);
    story.store_all();
    assert_eq!(story.life.host.bombs.load(Ordering::Relaxed), 0);
    story.finish(root);
    assert_eq!(story.store.violations(), Vec::<String>::new());
    assert_eq!(story.results(root), [Success(json!([{"got": {"got": 1}}, 2]))]);
}

#[test]
fn an_attempt_that_its_host_was_told_to_end_is_not_told_again() {
    let mut story = new();
    let mut flow = two("/t/wrap", "/t/echo");
    flow["steps"][0]["timeout"] = json!("10s");
    flow["steps"][0]["onError"] = json!({"action": "useDefault", "defaultValue": 0});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.start(story.job("/wrap").task);
    story.settle();
    story.pass(Duration::from_secs(10));
    story.store_all();
    let told = |story: &Story| story.life.host.jobs().iter().filter(|job| job.cancelled).count();
    assert_eq!(told(&story), 1);
    // The machine is made again while the host still has the attempt. The host complains when it is told twice.
    story.work("/echo");
    story.store.deal(root, Fate::Refuse);
    story.store_all();
    assert_eq!(told(&story), 1);
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!([0, 2]))]);
}

#[test]
fn an_offer_that_makes_the_host_panic_is_made_again() {
    let mut story = new();
    story.life.host.bombs.store(2, Ordering::Relaxed);
    let root = story.begin(one_of("/t/dud"));
    let other = story.begin(one_of("/t/wrap"));
    story.finish(root);
    assert!(story.is_ended(other));
    assert_eq!(story.store.violations(), Vec::<String>::new());
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}

#[test]
fn a_panic_over_one_of_several_commits_takes_none_of_the_others_with_it() {
    let mut story = new();
    let runs = ["/t/dud", "/t/echo"].map(|next| {
        let flow = json!({"steps": [
            {"id": "a", "component": "/t/wrap", "input": 1},
            {"id": "b", "component": next, "input": {"$step": "a"}}],
            "output": {"$step": "b"}});
        story.begin(submission(&flow, &[json!({})]))
    });
    story.store_all();
    runs.iter().for_each(|_| story.work("/wrap"));
    runs.iter().for_each(|root| story.store.deal(*root, Fate::Commit));
    story.life.host.bombs.store(1, Ordering::Relaxed);
    story.store.deliver_together();
    story.settle();
    story.job("/echo");
    for root in runs {
        story.finish(root);
    }
    assert_eq!(story.store.violations(), Vec::<String>::new());
}

/// Two runs: one whose flow makes the engine panic so many times after a step, and another one.
fn with_bombs(bombs: u32) -> (Story, RunId, RunId) {
    let mut story = new();
    let (root, other) = set_off(&mut story, bombs);
    (story, root, other)
}

pub fn set_off(story: &mut Story, bombs: u32) -> (RunId, RunId) {
    story.life.host.bombs.store(bombs, Ordering::Relaxed);
    let flow = json!({"timeout": "1h", "steps": [
        {"id": "a", "component": "/t/echo", "input": 1},
        {"id": "b", "component": "/t/bomb", "input": {"$step": "a"}}],
        "output": {"$step": "b"}});
    let root = story.begin(submission(&flow, &[json!({})]));
    let other = story.begin(one_of("/t/wrap"));
    story.store_all();
    story.work("/echo");
    story.work("/wrap");
    story.store_all();
    (root, other)
}

#[test]
fn a_panic_takes_nothing_with_it() {
    for bombs in [1, 2] {
        let (mut story, root, other) = with_bombs(bombs);
        assert!(story.is_ended(other));
        story.finish(root);
        assert_eq!(story.store.violations(), Vec::<String>::new());
        assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
    }
}

#[test]
fn a_run_that_makes_the_engine_panic_again_and_again_is_given_up_and_no_other() {
    let (mut story, root, other) = with_bombs(u32::MAX);
    assert!(story.is_ended(other));
    let violations = story.store.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains("three times in a row"), "{violations:?}");
    let asked = story.wait(root);
    story.answer(asked);
    // Its deadline does not load it again, here or in the next server.
    story.pass(Duration::from_secs(7_200));
    story.crash();
    story.life.host.bombs.store(u32::MAX, Ordering::Relaxed);
    story.pass(Duration::from_secs(120));
    let last = story.begin(one_of("/t/wrap"));
    story.finish(last);
    assert_eq!(story.store.violations().len(), 1, "{:?}", story.store.violations());
}
