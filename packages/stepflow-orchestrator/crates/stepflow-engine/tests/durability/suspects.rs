//! Steps that take servers down: which are given up, and which only happened to be open.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use stepflow_engine::event::{Event, Outcome, Record};
use stepflow_protocol::{ErrorKind, RunId};

use super::naive::Outcome::{Failed, Success};
use super::openings::{new, offered, one, one_of, two};
use super::store::Fate;
use super::story::{Story, submission};

fn is_given_up(story: &Story, root: RunId) -> bool {
    matches!(&story.results(root)[..], [Failed(kind, _)] if kind == "ORCHESTRATOR_ERROR")
}

/// A worker has the step for long enough to be marked, and then the server dies.
fn take_down(story: &mut Story, component: &str) {
    story.store_all();
    let task = story.job(component);
    story.start(task.task);
    story.settle();
    story.pass(Duration::from_secs(2));
    story.store_all();
    story.crash();
}

#[test]
fn a_step_that_takes_down_three_servers_in_a_row_is_given_up() {
    let mut story = new();
    let root = story.begin(one_of("/t/wrap"));
    for _ in 0..3 {
        assert!(!story.is_ended(root));
        take_down(&mut story, "/wrap");
    }
    story.finish(root);
    story.check(root);
    assert!(is_given_up(&story, root));
}

#[test]
fn a_step_that_is_given_up_says_which_it_was_or_has_its_default() {
    let defaulted = json!({"steps": [
        {"id": "a", "component": "/t/wrap", "input": 1,
         "onError": {"action": "retry", "exhausted": {"action": "useDefault", "defaultValue": "instead"}}}],
        "output": {"$step": "a"}});
    for (flow, result) in [(one("/t/wrap"), None), (defaulted, Some(Success(json!("instead"))))] {
        let mut story = new();
        let root = story.begin(submission(&flow, &[json!({})]));
        (0..3).for_each(|_| take_down(&mut story, "/wrap"));
        story.finish(root);
        match result {
            Some(result) => assert_eq!(story.results(root), [result]),
            None => {
                let journal = story.store.journal(root);
                let data = journal.iter().find_map(|record| match &record.event {
                    Event::StepEnded(ended) => match &ended.result {
                        Outcome::Failed(error) => error.data.as_ref().map(|data| data.to_json().unwrap()),
                        Outcome::Success(_) => None,
                    },
                    _ => None,
                });
                assert_eq!(data, Some(json!({"attempt": 3, "step": "a", "component": "/t/wrap"})));
            }
        }
    }
}

#[test]
fn with_no_limit_a_step_may_take_down_as_many_servers_as_it_likes() {
    let mut story = new();
    story.options.max_server_crashes = 0;
    story.crash();
    let root = story.begin(one_of("/t/wrap"));
    (0..6).for_each(|_| take_down(&mut story, "/wrap"));
    story.finish(root);
    story.check(root);
    assert!(!is_given_up(&story, root));
}

#[test]
fn a_step_that_lives_through_stops_in_good_order_is_not_given_up() {
    let mut story = new();
    let root = story.begin(one_of("/t/wrap"));
    for _ in 0..5 {
        story.store_all();
        story.start(story.job("/wrap").task);
        story.settle();
        story.pass(Duration::from_secs(2));
        story.store_all();
        story.restart();
    }
    story.finish(root);
    story.check(root);
    assert!(!is_given_up(&story, root));
}

#[test]
fn a_step_that_only_waits_is_not_given_up_when_it_was_never_offered() {
    let mut story = new();
    let flow = two("/t/wrap", "/t/echo");
    // One slot: the second step waits for it.
    let mut wanted = submission(&flow, &[json!({})]);
    wanted.max_concurrency = Some(1);
    let root = story.begin(wanted);
    (0..2).for_each(|_| take_down(&mut story, "/wrap"));
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!([{"got": 1}, 2]))]);
}

#[test]
fn a_step_that_no_worker_has_taken_is_not_given_up() {
    let mut story = new();
    let root = story.begin(one_of("/t/wrap"));
    for _ in 0..6 {
        story.store_all();
        story.job("/wrap");
        story.pass(Duration::from_secs(2));
        story.store_all();
        story.crash();
    }
    story.finish(root);
    story.check(root);
    assert!(!is_given_up(&story, root));
}

#[test]
fn servers_that_die_before_a_worker_is_there_do_not_count() {
    let mut story = new();
    let root = story.begin(one_of("/t/wrap"));
    for _ in 0..6 {
        story.store_all();
        story.job("/wrap");
        story.crash();
    }
    story.finish(root);
    story.check(root);
    assert!(!is_given_up(&story, root));
}

#[test]
fn of_two_steps_at_one_slot_only_the_one_that_had_it_is_given_up() {
    let mut story = new();
    let root = story.begin(submission(&two("/t/wrap", "/t/other"), &[json!({})]));
    take_down(&mut story, "/wrap");
    for _ in 0..2 {
        story.store_all();
        story.job("/other");
        // It takes the server down as soon as it has a worker.
        story.start(story.job("/wrap").task);
        story.store_all();
        story.crash();
    }
    story.finish(root);
    story.check(root);
    let given_up = |record: &Arc<Record>| match &record.event {
        Event::StepEnded(ended) => {
            matches!(&ended.result, Outcome::Failed(error) if error.kind == ErrorKind::OrchestratorError)
                .then_some(ended.step.step)
        }
        _ => None,
    };
    let steps: Vec<u32> = story.store.journal(root).iter().filter_map(given_up).collect();
    assert_eq!(steps, [0]);
}

#[test]
fn a_step_that_loses_its_slot_before_it_is_marked_is_not_given_up() {
    for marked in [false, true] {
        let (mut story, root) = offered("/t/wrap");
        story.crash();
        for _ in 0..5 {
            story.store_all();
            let task = story.job("/wrap").task;
            story.start(task);
            story.settle();
            if marked {
                // The word of it is still on its way.
                story.store.deal(root, Fate::Commit);
            }
            story.life.host.wait_again(task);
            story.store_all();
            story.crash();
        }
        story.finish(root);
        story.check(root);
        assert!(!is_given_up(&story, root));
    }
}

#[test]
fn an_attempt_whose_mark_is_refused_waits_until_it_is_stored() {
    let (mut story, root) = offered("/t/wrap");
    story.crash();
    story.store_all();
    story.start(story.job("/wrap").task);
    let started = |story: &Story| story.life.host.jobs().iter().filter(|job| job.started).count();
    for _ in 0..2 {
        story.settle();
        story.store.deal(root, Fate::Refuse);
        story.store.deliver(false);
        story.settle();
        assert_eq!((started(&story), story.store.queued()), (0, vec![]));
        story.pass(Duration::from_secs(1));
    }
    story.store_all();
    assert_eq!(started(&story), 1);
    story.finish(root);
    story.check(root);
}

#[test]
fn an_attempt_that_is_cancelled_before_it_is_marked_never_begins() {
    let (mut story, root) = offered("/t/wrap");
    story.crash();
    story.store_all();
    let task = story.job("/wrap").task;
    story.start(task);
    let cancelled = story.cancel(root);
    story.store_all();
    story.answer(cancelled).unwrap();
    assert!(story.life.host.jobs().iter().all(|job| !job.started && job.cancelled));
    story.finish(root);
    story.check(root);
}

#[test]
fn a_step_that_was_open_waits_where_it_was_when_its_worker_is_not_up() {
    let (mut story, root) = offered("/t/wrap");
    story.crash();
    story.life.host.away.store(true, Ordering::Relaxed);
    story.store_all();
    assert_eq!(story.job("/wrap").task.attempt, 2);
    let new = story.begin(one_of("/t/wrap"));
    story.store_all();
    assert!(matches!(&story.results(new)[..], [Failed(kind, _)] if kind == "UNREACHABLE"));
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}

#[test]
fn a_step_that_waits_for_its_sub_run_is_not_given_up() {
    let mut story = new();
    let root = story.begin(one_of("/t/calls"));
    for _ in 0..6 {
        take_down(&mut story, "/calls");
    }
    story.finish(root);
    story.check(root);
    assert!(!is_given_up(&story, root));
}

#[test]
fn servers_that_die_before_they_reach_a_step_do_not_count_for_it() {
    let mut story = new();
    let root = story.begin(one_of("/t/wrap"));
    for _ in 0..4 {
        story.store_all();
        story.start(story.job("/wrap").task);
        story.settle();
        story.pass(Duration::from_secs(2));
        story.store_all();
        // The server that had the step stops in good order, and the next one dies before it has read anything.
        story.restart();
        story.store.set(|state| state.trees_wait = true);
        story.settle();
        story.crash();
    }
    story.finish(root);
    story.check(root);
    assert!(!is_given_up(&story, root));
}
