//! A cancel that is too long for one append, cut by crashes.

use serde_json::{Value as Json, json};
use stepflow_engine::Submission;
use stepflow_engine::event::Event;

use super::naive::Outcome::Failed;
use super::openings::{new, one, two};
use super::store::Fate;
use super::story::submission;

/// Cancels a batch of so many items that have all begun; the server dies after each append of it.
fn cut_by_crashes(component: &str, input: &Json, items: usize) {
    let mut story = new();
    let flow = json!({"steps": [{"id": "a", "component": component, "input": input}], "output": {"$step": "a"}});
    let batch = submission(&flow, &vec![json!(null); items]);
    let root = story.begin(Submission { max_concurrency: Some(u32::try_from(items).unwrap()), ..batch });
    story.store_all();
    let begun = story.store.journal(root).len();
    assert!(begun > items, "{begun} events");
    let asked = story.cancel(root);
    let mut crashes = 0;
    while !story.is_ended(root) {
        // Each part is stored. Whether that was answered before the server died makes no difference.
        story.store.deal(root, Fate::Commit);
        if story.random.one_in(2) {
            story.store.deliver(false);
            story.settle();
        }
        assert!(crashes > 0 || !asked.is_finished(), "the end is not durable");
        crashes += 1;
        story.crash();
        story.settle();
    }
    story.finish(root);
    story.check(root);
    assert!(crashes > 4, "it was cut {crashes} times");
    assert!(story.life.host.jobs().is_empty(), "nothing of it goes on");
    let cancelled = story.results(root);
    assert_eq!(cancelled.len(), items);
    assert!(cancelled.iter().all(|result| matches!(result, Failed(kind, _) if kind == "CANCELLED")));
    let events = |is: fn(&Event) -> bool| story.store.journal(root).iter().filter(|record| is(&record.event)).count();
    assert_eq!(events(|event| matches!(event, Event::CancelAsked(_))), 1);
    assert_eq!(events(|event| matches!(event, Event::ItemEnded(_))), items);
    let scheduled = events(|event| matches!(event, Event::StepScheduled(_) | Event::TimerStarted(_)));
    assert_eq!(scheduled, items, "nothing begins after the cancel");
}

#[test]
fn a_long_cancel_of_steps_that_wait_goes_on_after_each_crash() {
    cut_by_crashes("/t/sleep", &json!({"duration_ms": 3_600_000}), 5_000);
}

#[test]
fn a_long_cancel_of_steps_that_workers_have_goes_on_after_each_crash() {
    cut_by_crashes("/t/wrap", &json!(1), 3_000);
}

#[test]
fn the_runs_of_a_step_that_got_its_default_end_with_it() {
    let mut story = new();
    let mut flow = two("/t/fail", "/t/stuck");
    flow["steps"][0]["onError"] = json!({"action": "useDefault", "defaultValue": 0});
    let root = story.begin(submission(&flow, &[json!({})]));
    story.store_all();
    let task = story.job("/fail");
    story.start(task.task);
    let asked = story.request(&task, one("/t/null"));
    story.store_all();
    let run = story.answer(asked).unwrap();
    story.life.host.answer(task.task, None);
    story.store_all();
    assert!(!story.is_ended(root) && story.is_ended(run));
    story.check(root);
}
