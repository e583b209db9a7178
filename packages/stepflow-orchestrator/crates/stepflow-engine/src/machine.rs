//! The machine of one run tree: pure, and the only owner of its sequence.
//!
//! [`decide`] says what has happened, [`fold`] changes the state, [`outstanding`] says what is owed to the world.
//! [`Machine`] puts them together: it decides until nothing more follows, so that what belongs together is one append.

mod answer;
mod decide;
mod fold;
mod frontier;
mod given;
mod nested;
mod scope;
mod state;
mod values;

use stepflow_protocol::RunId;

pub use decide::{Input, decide};
pub use fold::fold;
pub use frontier::Frontier;
pub use given::{Given, Missing, Rules, Surroundings};
pub use state::{Attempt, AttemptState, Effect, Item, ItemEnd, Phase, Run, RunTree, Step, outstanding, owed_between};
pub use values::Values;

use crate::event::{EVENT_VERSION, Event, Record};

/// A run tree with what is derived from it.
#[derive(Debug)]
pub struct Machine {
    state: RunTree,
    frontier: Frontier,
    values: Values,
    undelivered: Vec<Record>,
}

impl Machine {
    /// The machine of a tree in which nothing has happened.
    #[must_use]
    pub fn new(root: RunId) -> Self {
        Self {
            state: RunTree::new(root),
            frontier: Frontier::default(),
            values: Values::default(),
            undelivered: Vec::new(),
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

    /// Takes one input and decides until nothing more follows. The records are one append; they are also folded
    /// into the state already.
    ///
    /// # Errors
    /// [`Missing`] when values have to be loaded first. Give them to [`Machine::values`] and call again with
    /// [`Input::Continue`]: what was decided before is not lost and comes with the next success.
    pub fn apply(&mut self, input: Input, world: &mut dyn Surroundings) -> Result<Vec<Record>, Missing> {
        let mut next = input;
        loop {
            let mut given = Given { frontier: &mut self.frontier, values: &self.values, world };
            let events = decide(&self.state, next, &mut given)?;
            if events.is_empty() {
                return Ok(std::mem::take(&mut self.undelivered));
            }
            let at = world.now();
            for event in events {
                let record = Record { seq: self.state.seq + 1, at, version: EVENT_VERSION, event };
                self.take(&record, world);
                self.undelivered.push(record);
            }
            next = Input::Continue;
        }
    }

    fn take(&mut self, record: &Record, world: &dyn Surroundings) {
        if let Event::ItemEnded(ended) = &record.event {
            self.values.forget_item(&self.state, ended.run, ended.item);
        }
        self.values.keep(record);
        fold(&mut self.state, record);
        self.frontier.absorb(&self.state, &record.event, world.now());
    }
}
