//! Questions about runs of which nothing is in memory.

use stepflow_protocol::RunId;
use tokio::sync::oneshot;

use super::Driver;
use super::loading::patience;
use super::timers::Timer;
use crate::command::Command;
use crate::ports::{RunState, StoreError};
use crate::submission::{CancelError, Error};

/// Questions about one run that the store could not answer.
#[derive(Default)]
pub(super) struct Unfound {
    /// How often it could not, in a row.
    failures: u32,
    /// Whether they will be asked again without more ado.
    is_waiting: bool,
    /// The answers of hosts among them. Who waits for the run's end stands elsewhere.
    answers: Vec<Command>,
}

impl Driver {
    /// Finds out where a run is of which nothing is in memory.
    pub(super) fn find(&mut self, run: RunId, about: Command) {
        let standing = self.ports.journal.find(run);
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            let _ = commands.send(Command::Found(run, standing.await, Box::new(about)));
        });
    }

    /// It is known where a run is, or that there is none.
    pub(super) fn found(&mut self, run: RunId, standing: Result<Option<RunState>, StoreError>, about: Command) {
        if let (Ok(Some(standing)), Command::Wait(run, ..)) = (&standing, &about)
            && self.given_up.tells_later(standing.root, *run)
        {
            return;
        }
        let goes_on = |standing: &RunState| {
            !standing.ended && standing.given_up.is_none() && !self.given_up.contains(standing.root)
        };
        let open = match standing {
            Ok(standing) => Ok(standing.filter(goes_on)),
            Err(error) => Err(error),
        };
        if open.is_ok() && self.unfound.get(&run).is_some_and(|unfound| !unfound.is_waiting) {
            self.unfound.remove(&run);
        }
        match (open, about) {
            (Ok(Some(standing)), about @ (Command::Cancel(..) | Command::SubmitFrom(..) | Command::Answer(..))) => {
                self.tell_found(run, standing.root, about);
            }
            // Nothing is taken over but what somebody waits for.
            (Ok(Some(standing)), Command::Wait(..)) if !self.takes_over => drop(self.tree(standing.root)),
            // Those who wait are told when the tree ends, wherever it is.
            (Ok(Some(_)), Command::Wait(..)) => {}
            (Ok(None), Command::Wait(run, ..)) => {
                let waited = self.waiters.ended(run);
                self.unblock(waited);
            }
            // Not known yet: whoever waits must not take that for an end, and what a host has done is not lost.
            (Err(_), about @ (Command::Wait(..) | Command::Answer(..))) => self.find_later(run, about),
            (Err(error), Command::Cancel(_, _, reply)) => drop(reply.send(Err(CancelError::Store(error)))),
            (Err(error), Command::SubmitFrom(_, _, _, reply)) => drop(reply.send(Err(Error::Store(error)))),
            (_, about) => self.refuse(about),
        }
    }

    /// The tree may have come into memory meanwhile; if not, it is read.
    fn tell_found(&mut self, run: RunId, root: RunId, about: Command) {
        // It may have ended since: then nobody would take it out again.
        let machine = self.trees.get(&root).and_then(|tree| tree.machine.as_ref());
        if root != run && machine.is_some_and(|machine| machine.state().is_open(run)) {
            self.roots.insert(run, root);
        }
        match self.tree(root) {
            Some(tree) if tree.machine.is_none() => tree.pending.push_back(about),
            _ => self.handle(about),
        }
    }

    fn find_later(&mut self, run: RunId, about: Command) {
        let unfound = self.unfound.entry(run).or_default();
        if matches!(about, Command::Answer(..)) {
            unfound.answers.push(about);
        }
        if !std::mem::replace(&mut unfound.is_waiting, true) {
            let wait = patience(unfound.failures);
            unfound.failures += 1;
            self.timers.arm(&*self.ports.clock, wait, Timer::Find(run));
        }
    }

    /// Asks again what the store could not answer.
    pub(super) fn find_again(&mut self, run: RunId) {
        let Some(unfound) = self.unfound.get_mut(&run) else { return };
        unfound.is_waiting = false;
        let answers = std::mem::take(&mut unfound.answers);
        let is_awaited = self.waiters.are_until_end(run);
        if answers.is_empty() && !is_awaited {
            self.unfound.remove(&run);
        }
        for answer in answers {
            self.find(run, answer);
        }
        if is_awaited {
            self.find_for_waiters(run);
        }
    }

    /// Finds out whether a run has ended already that somebody waits for.
    pub(super) fn find_for_waiters(&mut self, run: RunId) {
        self.find(run, Command::Wait(run, None, oneshot::channel().0));
    }

    /// Answers what was asked of a tree that is gone.
    pub(super) fn refuse(&self, command: Command) {
        match command {
            Command::Cancel(_, _, reply) => drop(reply.send(Err(CancelError::NotRunning))),
            Command::SubmitFrom(_, _, _, reply) => drop(reply.send(Err(Error::NotOpen))),
            _ => {}
        }
    }
}
