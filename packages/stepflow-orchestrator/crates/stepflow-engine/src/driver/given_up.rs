//! Trees that cannot go on. They are never loaded again: not here, from the moment they are given up, and nowhere once the
//! store has taken note.

use std::collections::HashMap;

use stepflow_protocol::RunId;

use super::Driver;
use super::loading::patience;
use super::timers::Timer;
use crate::command::Command;
use crate::ports::StoreError;

/// The trees that were given up, with what the store has yet to take note of.
#[derive(Default)]
pub(super) struct GivenUp(HashMap<RunId, Option<Note>>);

/// What the store has to take note of.
struct Note {
    why: String,
    /// How often it could not.
    failures: u32,
    /// Whether it was asked and has not answered.
    asked: bool,
    /// The runs of the tree whose ends somebody may wait for. They are told once the store has answered, because then
    /// they look at the run.
    awaited: Vec<RunId>,
}

impl GivenUp {
    pub fn contains(&self, root: RunId) -> bool {
        self.0.contains_key(&root)
    }

    /// Whether the store is being asked to take note of this tree. Then who waits for this run is told afterwards.
    pub fn tells_later(&mut self, root: RunId, run: RunId) -> bool {
        let Some(Some(note)) = self.0.get_mut(&root).filter(|note| note.as_ref().is_some_and(|note| note.asked)) else {
            return false;
        };
        note.awaited.push(run);
        true
    }

    /// Whether the store has yet to say whether it has taken note.
    pub fn is_asking(&self) -> bool {
        self.0.values().flatten().any(|note| note.asked)
    }
}

impl Driver {
    /// A tree that cannot go on: those that wait for it are told so, and the others are none the worse.
    pub(super) fn give_up(&mut self, root: RunId, why: String) {
        tracing::error!(run = %root, "the run cannot continue: {why}");
        self.given_up.0.insert(root, Some(Note { why, failures: 0, asked: false, awaited: Vec::new() }));
        self.note_given_up(root);
        self.let_go(root);
    }

    /// The same for a tree of which something is damaged in the store. What it is, is only for the owner of the server.
    pub(super) fn give_up_damaged(&mut self, root: RunId, what: &str) {
        tracing::error!(run = %root, "what is stored is damaged: {what}");
        self.give_up(root, "what is stored of it is damaged".to_owned());
    }

    /// Has the store take note that the tree was given up.
    pub(super) fn note_given_up(&mut self, root: RunId) {
        let Some(Some(note)) = self.given_up.0.get_mut(&root) else { return };
        if note.asked {
            return;
        }
        note.asked = true;
        let noted = self.ports.journal.give_up(root, self.ownership.epoch(root), note.why.clone());
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            let _ = commands.send(Command::GivenUp(root, noted.await));
        });
    }

    /// Asks the store once more to take note of what it has not: the engine stops.
    pub(super) fn note_all_given_up(&mut self) {
        let roots: Vec<RunId> = self.given_up.0.keys().copied().collect();
        for root in roots {
            self.note_given_up(root);
        }
    }

    /// The store has taken note, or could not. For a tree of another owner it need not.
    pub(super) fn noted_given_up(&mut self, root: RunId, noted: Result<(), StoreError>) {
        let Some(entry) = self.given_up.0.get_mut(&root) else { return };
        let awaited = entry.as_mut().map(|note| std::mem::take(&mut note.awaited)).unwrap_or_default();
        match (noted, &mut *entry) {
            (Err(StoreError::Unavailable(_) | StoreError::Conflict { .. }), Some(note)) => {
                note.asked = false;
                note.failures += 1;
                let wait = patience(note.failures - 1);
                self.timers.arm(&*self.ports.clock, wait, Timer::GiveUp(root));
            }
            _ => {
                *entry = None;
                // Those who have come since have to look at it again: now they can see that nothing will come.
                self.waiters.unsubscribe(root);
            }
        }
        for run in awaited {
            let waited = self.waiters.ended(run);
            self.unblock(waited);
        }
        self.stop_when_stored();
    }
}
