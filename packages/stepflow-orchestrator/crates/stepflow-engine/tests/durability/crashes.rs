//! Servers that die, and how the next ones continue.

use std::time::Duration;

use serde_json::json;
use stepflow_engine::event::Event;
use stepflow_engine::ports::Clock as _;
use stepflow_engine::{CancelError, Options};

use super::host::lost;
use super::naive::Outcome::{Failed, Success};
use super::openings::{new, offered, one, one_of};
use super::store::Fate;
use super::story::{Story, submission};

#[test]
fn a_step_whose_workers_are_replaced_again_and_again_is_not_given_up() {
    let (mut story, root) = offered("/t/wrap");
    for attempt in 1..=20 {
        let task = story.job("/wrap").task;
        assert_eq!(task.attempt, attempt);
        story.start(task);
        story.life.host.answer(task, Some(lost(false)));
        story.store_all();
    }
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}

#[test]
fn a_cancel_that_was_not_stored_before_a_crash_leaves_the_run_as_it_was() {
    let (mut story, root) = offered("/t/wrap");
    let asked = story.cancel(root);
    assert!(!asked.is_finished(), "the cancel is not durable");
    story.crash();
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}

#[test]
fn a_cancel_that_was_stored_before_a_crash_stands_although_nobody_was_told() {
    let (mut story, root) = offered("/t/wrap");
    // With a sub-run: its end and the root's are one append.
    let task = story.job("/wrap");
    story.start(task.task);
    let asked = story.request(&task, one("/t/null"));
    story.store_all();
    let sub_run = story.answer(asked).unwrap();
    let cancelled = story.cancel(root);
    story.store.deal(root, Fate::Commit);
    assert!(!cancelled.is_finished());
    story.crash();
    story.store_all();
    assert!(story.life.host.jobs().is_empty(), "nothing of it is offered any more");
    story.check(root);
    let ended = story.store.journal(root).iter().filter(|record| matches!(record.event, Event::RunEnded(_))).count();
    assert_eq!((ended, story.store.durable.run(sub_run).unwrap().status.is_terminal()), (2, true));
}

#[test]
fn a_second_cancel_is_answered_when_the_first_is_durable() {
    let (mut story, root) = offered("/t/wrap");
    let cancel = |story: &Story| story.cancel(root);
    let (first, second) = (cancel(&story), cancel(&story));
    assert!(!first.is_finished() && !second.is_finished(), "the end may not come");
    story.store_all();
    assert_eq!(story.answer(first), Ok(()));
    story.answer(second).ok();
    assert_eq!(story.answer(cancel(&story)), Err(CancelError::NotRunning));
    story.finish(root);
    story.check(root);
}

#[test]
fn a_refused_cancel_is_told_and_comes_all_the_same() {
    let (mut story, root) = offered("/t/wrap");
    let asked = story.cancel(root);
    story.store.deal(root, Fate::Refuse);
    story.store.deliver(false);
    story.settle();
    assert!(matches!(story.answer(asked), Err(CancelError::Store(_))));
    story.store_all();
    assert!(story.is_ended(root));
    story.finish(root);
    story.check(root);
}

#[test]
fn a_deadline_is_not_lost_when_the_wall_clock_steps_back() {
    for back in [1, 30, 3_600] {
        let mut story = Story::new(0, Options::default());
        let mut flow = one("/t/stuck");
        flow["timeout"] = json!("10s");
        let root = story.begin(submission(&flow, &[json!({})]));
        story.store_all();
        story.pass(Duration::from_secs(5));
        story.clock.set_wall_time(jiff::SignedDuration::from_secs(-back));
        story.pass(Duration::from_secs(5));
        assert!(!story.is_ended(root));
        story.finish(root);
        story.check(root);
        assert!(matches!(&story.results(root)[..], [Failed(kind, _)] if kind == "TIMEOUT"));
    }
}

#[test]
fn a_deadline_is_not_lost_when_the_wall_clock_steps_back_while_its_flow_is_read() {
    let mut story = new();
    let long = json!({"steps": [{"id": "a", "component": "/t/sleep", "input": {"duration_ms": 3_600_000}}],
        "output": {"$step": "a"}});
    let input = json!({"workflow": {"$literal": long}, "items": [1]});
    let flow = json!({"steps": [{"id": "m", "component": "/t/map", "input": input, "timeout": "50s"}],
        "output": {"$step": "m"}});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.restart();
    story.store.set(|state| state.contents_wait = true);
    story.pass(Duration::from_secs(50));
    story.pass(Duration::from_millis(1));
    story.clock.set_wall_time(jiff::SignedDuration::from_secs(-10));
    story.store.set(|state| state.contents_wait = false);
    story.settle();
    story.finish(root);
    story.check(root);
    assert!(matches!(&story.results(root)[..], [Failed(kind, _)] if kind == "TIMEOUT"), "{:?}", story.results(root));
    assert!(story.clock.elapsed() < Duration::from_secs(120));
}

#[test]
fn a_batch_of_more_events_than_one_append_has_is_cut_between_two() {
    for end in 0..3 {
        let mut story = new();
        let flow = json!({"steps": [{"id": "a", "component": "/t/nowhere", "input": 1}], "output": {"$step": "a"}});
        let asked = story.submit(submission(&flow, &vec![json!(null); 6_000]));
        let root = story.store.first().unwrap();
        story.store.deal(root, Fate::Commit);
        story.store.deliver(false);
        story.settle();
        let durable = story.store.journal(root).len();
        assert!(!story.is_ended(root) && durable >= 200, "{durable} events");
        story.answer(asked).unwrap();
        match end {
            0 => story.crash(),
            1 => story.store.deal(root, Fate::Refuse),
            _ => {}
        }
        story.watch(root);
        story.finish(root);
        story.check(root);
        assert_eq!(story.results(root).len(), 6_000);
    }
}

#[test]
fn an_answer_that_is_refused_while_the_server_stops_does_not_keep_it_from_stopping() {
    let (mut story, root) = offered("/t/wrap");
    story.work("/wrap");
    let stopped = story.stop();
    assert!(!stopped.is_finished(), "the answer may be stored");
    story.store.deal(root, Fate::Refuse);
    story.store.deliver(false);
    story.answer(stopped);
    story.crash();
    story.finish(root);
    story.check(root);
}

#[test]
fn more_runs_than_one_page_are_taken_over() {
    let mut story = new();
    let runs: Vec<_> = (0..1_100).map(|_| story.submit(one_of("/t/wrap"))).collect();
    story.store_all();
    assert!(runs.iter().all(tokio::task::JoinHandle::is_finished));
    story.crash();
    story.store_all();
    assert_eq!(story.life.host.jobs().len(), 1_100);
    assert_eq!(story.violations(), Vec::<String>::new());
}

#[test]
fn many_times_of_one_run_do_not_hide_those_of_others() {
    let mut story = new();
    let sleeper = |time: u32| {
        let input = json!({"duration_ms": time});
        json!({"steps": [{"id": "a", "component": "/t/sleep", "input": input}], "output": {"$step": "a"}})
    };
    let mut many = submission(&sleeper(50_000), &vec![json!(null); 1_100]);
    many.max_concurrency = Some(2_000);
    let many = story.begin(many);
    let other = story.begin(submission(&sleeper(51_000), &[json!(null)]));
    story.store_all();
    story.restart();
    story.settle();
    for _ in 0..52 {
        story.pass(Duration::from_secs(1));
        story.store_all();
    }
    assert!(story.is_ended(many) && story.is_ended(other));
    story.check(other);
}

#[test]
fn the_retry_of_a_step_that_runs_a_flow_is_not_forgotten_by_the_next_server() {
    let mut story = new();
    let input = json!({"workflow": {"$literal": one("/t/twice")}, "items": [1], "on_item_error": "fail"});
    let flow = json!({"steps": [{"id": "m", "component": "/t/map", "input": input, "onError": {"action": "retry"}}],
        "output": {"$step": "m", "path": "$.successful"}});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.work("/twice");
    story.store_all();
    let is_retry = |event: &Event| matches!(event, Event::StepRetryScheduled(_));
    assert!(story.store.journal(root).iter().any(|record| is_retry(&record.event)));
    story.restart();
    story.store_all();
    story.pass(Duration::from_secs(60));
    story.store_all();
    let again = story.job("/twice").task;
    assert_eq!(again.attempt, 1, "it is a step of another sub-run");
    story.finish(root);
}
