//! Servers that let their hosts finish before they stop.

use serde_json::json;
use stepflow_engine::Options;
use stepflow_engine::event::Event;

use super::naive::Outcome::Success;
use super::openings::{new, one_of, two};
use super::story::submission;

#[test]
fn a_drain_waits_for_what_hosts_have_and_offers_nothing_more() {
    let mut story = new();
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/wrap", "input": 1},
        {"id": "b", "component": "/t/echo", "input": {"$step": "a"}}],
        "output": {"$step": "b"}});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    story.job("/wrap");
    let engine = story.life.engine.clone();
    let drained = story.ask(async move { engine.drain().await });
    assert!(!drained.is_finished(), "the host has an attempt");
    story.work("/wrap");
    story.answer(drained);
    story.store_all();
    assert!(story.life.host.jobs().is_empty() && !story.is_ended(root));
    // Whoever takes over offers the next step.
    story.restart();
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!({"got": 1}))]);
}

#[test]
fn a_drain_of_hosts_that_have_nothing_ends_at_once() {
    let mut story = super::story::Story::with(0, Options::default(), super::store::Store::new(10), 2);
    let root = story.begin(one_of("/t/wrap"));
    story.finish(root);
    let engine = story.life.engine.clone();
    let drained = story.ask(async move { engine.drain().await });
    story.answer(drained);
}

#[test]
fn an_engine_that_is_to_stop_decides_nothing_more() {
    let mut story = new();
    let root = story.begin(submission(&two("/t/wrap", "/t/echo"), &[json!({})]));
    story.store_all();
    story.work("/wrap");
    let stopped = story.stop();
    assert!(!stopped.is_finished(), "the first answer is not stored");
    story.work("/echo");
    story.store_all();
    story.answer(stopped);
    let ended = |event: &Event| matches!(event, Event::StepEnded(_));
    assert_eq!(story.store.journal(root).iter().filter(|record| ended(&record.event)).count(), 1);
    story.crash();
    story.finish(root);
    story.check(root);
    assert_eq!(story.results(root), [Success(json!([{"got": 1}, 2]))]);
}
