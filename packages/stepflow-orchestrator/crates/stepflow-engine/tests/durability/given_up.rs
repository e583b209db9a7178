//! Trees that cannot go on are never loaded again, although the store could not take note of it at once.

use std::time::Duration;

use stepflow_engine::{CancelError, Error};
use stepflow_protocol::RunId;

use super::openings::{new, one_of};
use super::panics;
use super::refusals::set_off;
use super::story::Story;

/// A run that was given up while the store could not take note of it. The engine would panic whenever it is loaded.
fn given_up() -> (Story, RunId) {
    let mut story = new();
    story.store.set(|state| state.no_give_up = true);
    let (root, other) = set_off(&mut story, u32::MAX);
    assert!(story.is_ended(other));
    assert_eq!((panics::of_this_thread().len(), is_noted(&story, root)), (3, false));
    (story, root)
}

fn is_noted(story: &Story, root: RunId) -> bool {
    let standing = story.life.runtime.block_on(story.store.connect().find(root));
    standing.unwrap().unwrap().given_up.is_some()
}

/// The next server has the same bombs.
fn is_left_alone_by_the_next(mut story: Story) {
    story.crash();
    story.life.host.bombs.store(u32::MAX, std::sync::atomic::Ordering::Relaxed);
    story.pass(Duration::from_secs(7_200));
    let other = story.begin(one_of("/t/wrap"));
    story.finish(other);
    assert_eq!(panics::of_this_thread().len(), 3);
}

#[test]
fn what_the_store_could_not_take_note_of_is_said_again_with_growing_pauses() {
    let (story, root) = given_up();
    let mut news = story.life.engine.subscribe(root, 0);
    let watched = story.ask(async move { while news.next().await.is_ok() {} });
    story.pass(Duration::from_secs(60));
    assert!(!is_noted(&story, root) && !watched.is_finished());
    story.store.set(|state| state.no_give_up = false);
    story.pass(Duration::from_secs(5));
    assert!(is_noted(&story, root));
    story.answer(watched);
    is_left_alone_by_the_next(story);
}

#[test]
fn no_question_brings_it_back_before_the_store_has_taken_note() {
    let (story, root) = given_up();
    let cancelled = story.cancel(root);
    assert_eq!(story.answer(cancelled), Err(CancelError::NotRunning));
    let waited = story.wait(root);
    story.answer(waited);
    let asked = story.request_below(root);
    assert!(matches!(story.answer(asked), Err(Error::NotOpen)));
    story.pass(Duration::from_secs(7_200));
    assert_eq!(panics::of_this_thread().len(), 3);
}

#[test]
fn a_stop_in_good_order_says_it_once_more() {
    let (story, root) = given_up();
    story.pass(Duration::from_secs(60));
    story.store.set(|state| state.no_give_up = false);
    let stopped = story.stop();
    story.answer(stopped);
    assert!(is_noted(&story, root));
    is_left_alone_by_the_next(story);
}
