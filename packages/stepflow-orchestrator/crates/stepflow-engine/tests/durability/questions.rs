//! Requests for trees that are not in memory yet, or not in memory now.

use std::time::Duration;

use serde_json::json;
use stepflow_engine::{CancelError, Error, Notice, Options, Submission};
use stepflow_protocol::RunId;

use super::naive::Outcome::{Failed, Success};
use super::openings::{asked_by, new, offered, one, one_of, parking, started};
use super::store::{Fate, Store};
use super::story::{Story, submission};

/// A run with an open step and the step's sub-run. The server has read nothing yet, or only which runs exist.
fn unread(knows_runs: bool) -> (Story, RunId, RunId) {
    let (mut story, root, task) = started();
    let asked = story.request(&task, one("/t/null"));
    story.store_all();
    let sub_run = story.answer(asked).unwrap();
    story.crash();
    story.store.set(|state| if knows_runs { state.trees_wait = true } else { state.reads_wait = true });
    story.settle();
    (story, root, sub_run)
}

fn read(story: &Story) {
    story.store.set(|state| (state.reads_wait, state.trees_wait) = (false, false));
    story.store_all();
}

#[test]
fn a_cancel_that_comes_before_recovery_is_done() {
    for (of_root, knows_runs) in [(true, false), (false, false), (true, true), (false, true)] {
        let (mut story, root, sub_run) = unread(knows_runs);
        let (engine, run) = (story.life.engine.clone(), if of_root { root } else { sub_run });
        let asked = story.ask(async move { engine.cancel(run, "a test", None).await });
        assert!(!asked.is_finished());
        read(&story);
        assert_eq!(story.answer(asked), Ok(()));
        assert_eq!(story.is_ended(root), of_root);
        assert!(story.store.durable.run(sub_run).unwrap().status.is_terminal());
        story.finish(root);
        story.check(root);
    }
}

#[test]
fn who_waits_before_recovery_is_told_of_the_end() {
    who_waits(false);
    who_waits(true);
}

fn who_waits(knows_runs: bool) {
    let (mut story, root, sub_run) = unread(knows_runs);
    let wait = |story: &Story, run| story.wait(run);
    let (of_root, of_sub_run) = (wait(&story, root), wait(&story, sub_run));
    read(&story);
    assert!(!of_root.is_finished() && !of_sub_run.is_finished());
    story.finish(root);
    story.answer(of_root);
    story.answer(of_sub_run);
    story.answer(wait(&story, root));
    story.check(root);
}

#[test]
fn who_waits_while_the_store_is_down_is_told_of_the_end_and_not_before() {
    let (mut story, root) = offered("/t/wrap");
    story.crash();
    story.store.set(|state| state.down = true);
    let waits = story.wait(root);
    story.pass(Duration::from_millis(10));
    story.store.set(|state| state.down = false);
    story.store_all();
    story.pass(Duration::from_secs(1));
    story.store_all();
    assert!(!waits.is_finished(), "the run has not ended");
    story.finish(root);
    story.answer(waits);
    story.check(root);
}

#[test]
fn who_waits_when_only_the_question_cannot_be_read_is_not_told_of_an_end() {
    let mut story = parking();
    let root = story.begin(sleeper());
    story.store_all();
    story.pass(Duration::from_millis(1));
    story.store.set(|state| state.down = true);
    let waits = story.wait(root);
    story.store.set(|state| state.down = false);
    story.store_all();
    assert!(!waits.is_finished(), "the run has not ended");
    story.finish(root);
    story.answer(waits);
    story.check(root);
}

#[test]
fn a_sub_run_that_is_asked_for_before_recovery_is_made_or_refused_but_not_left_open() {
    sub_run_of_a_run(false);
    sub_run_of_a_run(true);
}

fn sub_run_of_a_run(knows_runs: bool) {
    let (mut story, root, _) = unread(knows_runs);
    let by_run = story.request_below(root);
    read(&story);
    let made = story.answer(by_run).unwrap();
    assert!(story.store.durable.run(made).is_some());
    story.finish(root);
    story.check(root);
}

#[test]
fn an_attempt_of_the_server_before_cannot_ask_for_runs() {
    let (mut story, root) = offered("/t/wrap");
    let before = story.job("/wrap");
    story.start(before.task);
    story.crash();
    story.store_all();
    let asked = story.ask(asked_by(story.life.engine.clone(), before, one("/t/null")));
    story.store_all();
    assert!(matches!(story.answer(asked), Err(Error::NotOpen)));
    story.finish(root);
    story.check(root);
}

#[test]
fn a_subscriber_that_comes_after_the_end_sees_all_of_it_and_ends() {
    let mut story = new();
    let root = story.begin(one_of("/t/wrap"));
    story.finish(root);
    let all = story.store.journal(root).len() as u64;
    for after in [0, 2, all - 1, all, all + 5] {
        let mut news = story.life.engine.subscribe(root, after);
        let seen = story.ask(async move {
            let mut seen = 0;
            while let Some(Notice::Record(_)) = news.next().await.unwrap() {
                seen += 1;
            }
            seen
        });
        assert_eq!(story.answer(seen), all.saturating_sub(after));
    }
}

pub fn sleeper() -> Submission {
    let input = json!({"duration_ms": 600_000, "passthrough": 1});
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/sleep", "input": input},
        {"id": "b", "component": "/t/wrap", "input": {"$step": "a", "path": "$.passthrough"}}],
        "output": {"$step": "b"}});
    submission(&flow, &[json!({})])
}

#[test]
fn a_parked_run_is_cancelled_watched_and_waited_for() {
    for question in 0..3 {
        let mut story = parking();
        let root = story.begin(sleeper());
        story.store_all();
        story.pass(Duration::from_millis(1));
        let engine = story.life.engine.clone();
        match question {
            0 => {
                let asked = story.ask(async move { engine.cancel(root, "a test", None).await });
                story.store_all();
                assert_eq!(story.answer(asked), Ok(()));
                let again = story.cancel(root);
                assert_eq!(story.answer(again), Err(CancelError::NotRunning));
            }
            1 => {
                let waits = story.ask(async move { engine.ended(root, None).await });
                assert!(!waits.is_finished());
                story.finish(root);
                story.answer(waits);
            }
            _ => story.watch(root),
        }
        story.finish(root);
        if question == 1 {
            assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
        }
        super::invariants::check(root, &story.store.journal(root));
        assert_eq!(story.store.violations(), Vec::<String>::new());
    }
}

#[test]
fn the_wait_before_a_retry_is_known_to_the_next_engine() {
    let mut story = parking();
    let retry = json!({"action": "retry", "maxRetries": 1, "backoff": {"type": "constant", "delay": "1h"}});
    let step = json!({"id": "a", "component": "/t/twice", "input": 1, "onError": retry});
    let root = story.begin(submission(&json!({"steps": [step], "output": {"$step": "a"}}), &[json!({})]));
    story.store_all();
    story.work("/twice");
    story.store_all();
    // A run that only waits is not read until its time has come.
    story.crash();
    story.store_all();
    story.pass(Duration::from_secs(3_590));
    story.store_all();
    assert!(story.life.host.jobs().is_empty());
    story.pass(Duration::from_secs(20));
    story.store_all();
    assert_eq!(story.life.host.jobs().len(), 1);
    story.finish(root);
    story.check(root);
}

#[test]
fn questions_may_race_with_parking_and_waking() {
    for seed in 0..200 {
        super::panics::watch();
        let options = Options { park_after: Duration::ZERO, idle_bytes: 0, ..Options::default() };
        let mut story = Story::new(seed, options);
        let root = story.begin(sleeper());
        let mut asked = Vec::new();
        let cancels = seed % 4 == 0;
        for _ in 0..40 {
            story.rough = seed % 2 == 0;
            story.happen();
            let engine = story.life.engine.clone();
            match story.random.below(8) {
                0 => asked.push(story.ask(async move { engine.ended(root, None).await })),
                1 if cancels => asked.push(story.ask(async move { drop(engine.cancel(root, "a test", None).await) })),
                2 => story.pass(Duration::from_secs(200)),
                _ => {}
            }
        }
        story.finish(root);
        // A failed read is repeated.
        story.pass(Duration::from_secs(1));
        for asked in asked {
            story.store_all();
            story.answer(asked);
        }
        story.check(root);
    }
}

#[test]
fn an_attempt_that_waits_for_a_run_of_another_driver_gets_its_slot_back() {
    for drivers in 1..4 {
        super::panics::watch();
        let mut story = Story::with(0, Options::default(), Store::new(100), drivers);
        let flow = json!({"steps": [
            {"id": "a", "component": "/t/null", "input": 1},
            {"id": "b", "component": "/t/echo", "input": 2},
            {"id": "c", "component": "/t/wrap", "input": 3}],
            "output": [{"$step": "a"}, {"$step": "b"}, {"$step": "c"}]});
        let wanted = Submission { max_concurrency: Some(1), ..submission(&flow, &[json!({})]) };
        let root = story.begin(wanted);
        story.store_all();
        let task = story.job("/null");
        let address = task.address();
        story.start(task.task);
        let engine = story.life.engine.clone();
        let waits = story.ask(async move {
            let run = engine.submit(one_of("/t/lost")).await.unwrap();
            engine.ended(run, Some(address)).await;
        });
        story.store_all();
        // While it waits, the next step has the slot.
        story.job("/echo");
        story.work("/lost");
        story.store_all();
        story.work("/lost");
        story.store_all();
        assert!(!waits.is_finished(), "the next step has the only slot");
        story.work("/echo");
        story.store_all();
        story.answer(waits);
        assert_eq!(story.life.host.jobs().len(), 1, "the first step goes on, and there is one slot");
        story.finish(root);
        story.check(root);
    }
}

fn named() -> Submission {
    Submission { idempotency_key: Some("n".to_owned()), ..one_of("/t/wrap") }
}

#[test]
fn a_client_that_was_told_nothing_or_an_error_finds_its_run_by_its_name() {
    for fate in [Fate::Commit, Fate::Doubt] {
        let mut story = new();
        let asked = story.submit(named());
        let root = story.store.first().unwrap();
        story.store.deal(root, fate);
        if fate == Fate::Commit {
            story.crash();
        } else {
            story.store_all();
            assert!(matches!(story.answer(asked), Err(Error::Store(_))));
        }
        let again = story.submit(named());
        story.store_all();
        assert_eq!(story.answer(again).unwrap(), root);
        story.watch(root);
        story.finish(root);
        story.check(root);
    }
}

#[test]
fn a_client_whose_creation_was_refused_makes_its_run_by_the_same_name() {
    let mut story = new();
    let asked = story.submit(named());
    let first = story.store.first().unwrap();
    story.store.deal(first, Fate::Refuse);
    story.store_all();
    assert!(matches!(story.answer(asked), Err(Error::Store(_))));
    let root = story.begin(named());
    assert_ne!(root, first);
    story.finish(root);
    story.check(root);
}

#[test]
fn a_timeout_that_was_refused_comes_before_the_answer_that_came_after_it() {
    for fate in [Fate::Commit, Fate::Refuse, Fate::Doubt] {
        let mut story = new();
        let mut flow = one("/t/wrap");
        flow["steps"][0]["timeout"] = json!("10s");
        let root = story.begin(submission(&flow, &[json!({})]));
        story.store_all();
        let task = story.job("/wrap").task;
        story.start(task);
        story.settle();
        story.pass(Duration::from_secs(10));
        story.life.host.answer(task, None);
        story.settle();
        story.store.deal(root, fate);
        story.store.deliver(false);
        story.finish(root);
        story.check(root);
        assert!(matches!(&story.results(root)[..], [Failed(kind, _)] if kind == "TIMEOUT"));
    }
}

#[test]
fn a_time_that_could_not_be_read_at_the_start_is_not_late() {
    let mut story = new();
    let root = story.begin(sleeper());
    story.store_all();
    story.restart();
    story.pass(Duration::from_secs(595));
    story.store.set(|state| state.no_due = true);
    story.crash();
    story.settle();
    story.pass(Duration::from_secs(1));
    story.store.set(|state| state.no_due = false);
    for _ in 0..5 {
        story.pass(Duration::from_secs(1));
        story.store_all();
    }
    story.job("/wrap");
    story.finish(root);
    story.check(root);
}

#[test]
fn a_parked_run_is_read_before_its_time_and_stays_until_then() {
    let mut story = parking();
    let root = story.begin(sleeper());
    story.store_all();
    for _ in 0..599 {
        story.pass(Duration::from_secs(1));
    }
    story.pass(Duration::from_millis(500));
    // What has not been read by now is late.
    story.store.set(|state| state.trees_wait = true);
    story.pass(Duration::from_millis(500));
    assert!(!story.store.queued().is_empty(), "it does not wake");
    story.store.set(|state| state.trees_wait = false);
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}
