//! Attempts that wait for runs, and runs that go on only when somebody waits for them.

use std::collections::BTreeMap;

use serde_json::json;
use stepflow_engine::{Options, Submission};
use stepflow_protocol::RunId;
use tokio::task::JoinHandle;

use super::naive::Outcome::Success;
use super::openings::{new, one, one_of};
use super::store::Fate;
use super::story::Story;

/// A run with one slot. Its step has asked for two runs and waits for both.
fn waiting() -> (Story, RunId, BTreeMap<RunId, JoinHandle<()>>) {
    let mut story = new();
    let root = story.begin(Submission { max_concurrency: Some(1), ..one_of("/t/wrap") });
    story.store_all();
    let task = story.job("/wrap");
    story.start(task.task);
    let runs = [(); 2].map(|()| {
        let asked = story.request(&task, one("/t/null"));
        story.store_all();
        story.answer(asked).unwrap()
    });
    let waits = runs.map(|run| {
        let (engine, by) = (story.life.engine.clone(), task.address());
        (run, story.ask(async move { engine.ended(run, Some(by)).await }))
    });
    story.store_all();
    (story, root, waits.into())
}

/// The components of the jobs that the host has.
fn jobs(story: &Story) -> Vec<String> {
    let mut jobs: Vec<String> = story.life.host.jobs().iter().map(|job| job.task.route.component.to_string()).collect();
    jobs.sort();
    jobs
}

#[test]
fn an_attempt_that_waits_for_two_runs_has_no_slot_until_both_have_ended() {
    let (mut story, root, mut waits) = waiting();
    // One of the two runs at a time, because there is one slot.
    assert_eq!(jobs(&story), ["/null", "/wrap"]);
    let first = waits.remove(&story.job("/null").run_id).unwrap();
    story.work("/null");
    story.store_all();
    story.answer(first);
    assert_eq!(jobs(&story), ["/null", "/wrap"]);
    let (run, second) = waits.pop_first().unwrap();
    assert!(story.job("/null").run_id == run && !second.is_finished());
    story.work("/null");
    story.store_all();
    story.answer(second);
    story.finish(root);
    story.check(root);
}

#[test]
fn an_attempt_goes_on_when_there_is_a_slot_also_after_refusals() {
    let (mut story, root, mut waits) = waiting();
    let refused = |story: &Story| {
        story.work("/null");
        story.store.deal(root, Fate::Refuse);
        story.store_all();
    };
    let first = waits.remove(&story.job("/null").run_id).unwrap();
    refused(&story);
    story.answer(first);
    drop(story.request_below(root));
    story.store_all();
    refused(&story);
    let (_, second) = waits.pop_first().unwrap();
    // Both of its runs have ended, and another one has the slot.
    assert_eq!(jobs(&story), ["/null", "/wrap"]);
    assert!(!second.is_finished());
    refused(&story);
    story.answer(second);
    // It has the slot now: nothing else begins.
    let asked = story.request_below(root);
    story.store_all();
    story.answer(asked).unwrap();
    assert_eq!(jobs(&story), ["/wrap"]);
    story.finish(root);
    story.check(root);
}

#[test]
fn an_engine_that_takes_nothing_over_goes_on_with_what_somebody_waits_for() {
    let mut story = new();
    let (root, other) = (story.begin(one_of("/t/wrap")), story.begin(one_of("/t/echo")));
    story.store_all();
    story.options = Options { takes_over: false, ..Options::default() };
    story.crash();
    story.store_all();
    assert_eq!(jobs(&story), Vec::<String>::new());
    let waits = story.wait(root);
    story.store_all();
    assert_eq!(jobs(&story), ["/wrap"]);
    story.finish(root);
    story.answer(waits);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
    assert!(!story.is_ended(other));
}
