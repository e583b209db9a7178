//! Steps that run ahead of the store, because they change nothing outside.

use serde_json::{Value as Json, json};
use stepflow_engine::event::TaskRef;
use stepflow_protocol::RunId;

use super::naive::Outcome::Success;
use super::openings::new;
use super::store::Fate;
use super::story::{Story, submission};

/// A run whose steps follow one another. Only its beginning is durable.
fn begun(components: &[&str]) -> (Story, RunId) {
    let mut story = new();
    story.store.set(|state| state.ahead = true);
    let step = |(number, component): (usize, &&str)| {
        let before = number.checked_sub(1).map_or(json!(1), |before| json!({"$step": format!("s{before}")}));
        json!({"id": format!("s{number}"), "component": component, "input": before})
    };
    let steps: Vec<Json> = components.iter().enumerate().map(step).collect();
    let last = format!("s{}", components.len() - 1);
    let root = story.begin(submission(&json!({"steps": steps, "output": {"$step": last}}), &[json!({})]));
    (story, root)
}

fn offered(story: &Story) -> Vec<TaskRef> {
    story.life.host.jobs().iter().filter(|job| !job.cancelled).map(|job| job.task.task).collect()
}

#[test]
fn pure_steps_run_ahead_and_one_that_is_not_waits_until_they_are_durable() {
    let (mut story, root) = begun(&["/t/echo", "/t/null", "/t/wrap"]);
    story.work("/echo");
    let durable = story.store.journal(root).len();
    story.work("/null");
    assert_eq!(story.store.journal(root).len(), durable, "the store has done nothing since");
    assert_eq!(offered(&story), [], "the last step is not pure");
    story.store_all();
    story.work("/wrap");
    story.finish(root);
    story.check(root);
}

#[test]
fn what_ran_ahead_and_was_refused_runs_again() {
    for fate in [Fate::Refuse, Fate::Doubt] {
        let (mut story, root) = begun(&["/t/echo", "/t/null", "/t/echo"]);
        story.work("/echo");
        story.work("/null");
        let before = offered(&story);
        story.store.deal(root, fate);
        story.store_all();
        let again = offered(&story);
        assert_eq!((before.len(), again.len(), again == before), (1, 1, false), "{fate:?}");
        let cancelled = story.life.host.jobs().into_iter().filter(|job| job.cancelled).map(|job| job.task.task);
        assert_eq!(cancelled.collect::<Vec<_>>(), before, "{fate:?}: nobody knows it any more");
        story.finish(root);
        story.check(root);
        assert_eq!(story.results(root), [Success(Json::Null)]);
    }
}

#[test]
fn a_crash_loses_only_what_nobody_has_seen() {
    let (mut story, root) = begun(&["/t/echo", "/t/twice", "/t/echo"]);
    story.work("/echo");
    story.crash();
    story.store_all();
    story.finish(root);
    story.check(root);
}

#[test]
fn steps_do_not_run_ahead_without_end() {
    let (mut story, root) = begun(&["/t/echo"; 200]);
    let ahead = (0..200)
        .take_while(|_| {
            !story.life.host.jobs().is_empty() && {
                story.work("/echo");
                true
            }
        })
        .count();
    assert!((50..150).contains(&ahead), "{ahead} steps ran ahead");
    story.finish(root);
    story.check(root);
}
