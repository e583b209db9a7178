//! Servers that let their hosts finish before they stop.

use serde_json::json;
use stepflow_engine::Options;

use super::naive::Outcome::Success;
use super::openings::{new, one_of};
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
