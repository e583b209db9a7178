//! What subscribers are told, and when.

use std::sync::{Arc, Mutex};

use serde_json::json;
use stepflow_engine::Notice;
use stepflow_engine::event::TaskRef;
use stepflow_protocol::RunId;

use super::openings::{new, offered, two};
use super::story::{Story, submission};

/// The starts that a new subscriber is told of.
fn starts(story: &Story, root: RunId) -> Arc<Mutex<Vec<TaskRef>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut news = story.life.engine.subscribe(root, 0);
    let tells = Arc::clone(&told);
    drop(story.ask(async move {
        while let Ok(Some(notice)) = news.next().await {
            if let Notice::Started { task, .. } = notice {
                tells.lock().unwrap().push(task);
            }
        }
    }));
    told
}

#[test]
fn an_event_is_told_when_it_is_durable_and_not_only_at_the_end() {
    let mut story = new();
    let root = story.begin(submission(&two("/t/wrap", "/t/stuck"), &[json!({})]));
    story.store_all();
    let before = story.store.journal(root).len();
    story.work("/wrap");
    story.store_all();
    assert!(!story.is_ended(root) && story.store.journal(root).len() > before);
    // A subscriber that has not seen all of the journal is a violation.
    story.check(root);
}

#[test]
fn a_start_ahead_of_the_store_is_told_once_its_event_is_durable() {
    let mut story = new();
    story.store.set(|state| state.ahead = true);
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/echo", "input": 1},
        {"id": "b", "component": "/t/null", "input": {"$step": "a"}}],
        "output": {"$step": "b"}});
    let root = story.begin(submission(&flow, &[json!({})]));
    let told = starts(&story, root);
    story.work("/echo");
    let ahead = story.job("/null").task;
    story.start(ahead);
    story.settle();
    let early = starts(&story, root);
    assert!(!told.lock().unwrap().contains(&ahead) && early.lock().unwrap().is_empty());
    story.store_all();
    for told in [told, early, starts(&story, root)] {
        assert_eq!(told.lock().unwrap().iter().filter(|task| **task == ahead).count(), 1);
    }
    story.finish(root);
    story.check(root);
}

#[test]
fn a_start_is_told_at_once_and_later_to_those_who_come_while_a_worker_has_it() {
    let (story, root) = offered("/t/wrap");
    let told = starts(&story, root);
    let task = story.job("/wrap");
    story.start(task.task);
    story.settle();
    assert_eq!(*told.lock().unwrap(), [task.task]);
    assert_eq!(*starts(&story, root).lock().unwrap(), [task.task]);
    // A worker that takes it and gives it back has not started it for good.
    story.life.host.inbox.waits(task.address());
    story.settle();
    assert!(starts(&story, root).lock().unwrap().is_empty());
}
