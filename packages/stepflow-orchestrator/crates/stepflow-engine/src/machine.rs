//! The machine of one run tree: pure, and the only owner of its sequence.
//!
//! [`decide`] says what has happened, [`fold`] changes the state, [`outstanding`] says what is owed to the world.
//! [`Machine`] puts them together: it decides until nothing more follows, so that what belongs together is one append.

mod answer;
mod bounded;
mod confidential;
mod decide;
mod fold;
mod frontier;
mod given;
mod nested;
mod policy;
mod scope;
mod state;
mod values;
mod waiting;

use std::collections::VecDeque;

use stepflow_protocol::RunId;

pub use decide::{Input, decide};
pub use fold::fold;
pub use frontier::Frontier;
pub use given::{Given, Missing, Rules, Surroundings};
pub(crate) use nested::{MAX_DEPTH, chain};
pub use state::{Attempt, AttemptState, Effect, Item, ItemEnd, Phase, Run, RunTree, Step, outstanding, owed_between};
pub use values::Values;
pub use waiting::Waiting;

use crate::event::{EVENT_VERSION, Event, Record, TaskRef};

/// A run tree with what is derived from it.
#[derive(Debug)]
pub struct Machine {
    state: RunTree,
    frontier: Frontier,
    values: Values,
    waiting: Waiting,
    undelivered: Vec<Record>,
    /// Failures that came when what they may quote was not in memory.
    postponed: VecDeque<Input>,
}

impl Machine {
    /// The machine of a tree in which nothing has happened.
    #[must_use]
    pub fn new(root: RunId) -> Self {
        Self {
            state: RunTree::new(root),
            frontier: Frontier::default(),
            values: Values::default(),
            waiting: Waiting::default(),
            undelivered: Vec::new(),
            postponed: VecDeque::new(),
        }
    }

    /// The machine of a tree with this journal.
    #[must_use]
    pub fn recovered<'a>(root: RunId, journal: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut machine = Self::new(root);
        for record in journal {
            fold(&mut machine.state, record);
        }
        machine
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &RunTree {
        &self.state
    }

    /// The values in memory.
    pub fn values(&mut self) -> &mut Values {
        &mut self.values
    }

    /// The attempts that wait for runs.
    #[must_use]
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// The attempt waits for a run from now on: until [`Machine::waits_no_more`] its slot is free. What that makes
    /// room for comes with [`Input::Continue`].
    pub fn waits(&mut self, task: TaskRef) {
        self.waiting.begin(&self.state, task);
    }

    /// A run that the attempt waited for has ended. Its slot counts again, even if another attempt has taken it.
    pub fn waits_no_more(&mut self, task: TaskRef) {
        self.waiting.end(task);
    }

    /// Takes one input and decides until nothing more follows. The records are one append; they are also folded
    /// into the state already.
    ///
    /// # Errors
    /// [`Missing`] when values have to be loaded first. Give them to [`Machine::values`] and call again with
    /// [`Input::Continue`]: neither the input nor what was decided before is lost, and both come with the next success.
    pub fn apply(&mut self, input: Input, world: &mut dyn Surroundings) -> Result<Vec<Record>, Missing> {
        let mut next = match self.postponed.pop_front() {
            None => input,
            Some(first) => {
                self.postponed.push_back(input);
                first
            }
        };
        loop {
            let again = next.may_quote().then(|| next.clone());
            let mut given = Given { frontier: &mut self.frontier, values: &self.values, waiting: &self.waiting, world };
            let events = decide(&self.state, next, &mut given).inspect_err(|_| {
                again.into_iter().for_each(|input| self.postponed.push_front(input));
            })?;
            if events.is_empty() && self.postponed.is_empty() {
                return Ok(std::mem::take(&mut self.undelivered));
            }
            let at = world.now();
            for event in events {
                let record = Record { seq: self.state.seq + 1, at, version: EVENT_VERSION, event };
                self.take(&record, world);
                self.undelivered.push(record);
            }
            next = self.postponed.pop_front().unwrap_or(Input::Continue);
        }
    }

    fn take(&mut self, record: &Record, world: &dyn Surroundings) {
        if let Event::ItemEnded(ended) = &record.event {
            self.values.forget_item(&self.state, ended.run, ended.item);
        }
        match &record.event {
            Event::AttemptEnded(ended) => self.waiting.forget(ended.task),
            Event::OwnerChanged(_) => self.waiting = Waiting::default(),
            _ => {}
        }
        self.values.keep(record);
        fold(&mut self.state, record);
        self.frontier.absorb(&self.state, &record.event, world.now());
    }
}
