//! The machine of one run tree. It is pure, and only the machine gives sequence numbers.
//!
//! [`decide`] returns what has happened, [`fold`] changes the state, [`outstanding`] returns the effects that are due.
//! [`Machine`] combines them: it decides until nothing more follows, so that everything that belongs together is one
//! append.

mod agenda;
mod answer;
mod bounded;
mod confidential;
mod decide;
mod effect;
mod ending;
mod fold;
mod frontier;
mod given;
mod input;
mod nested;
mod policy;
mod results;
mod scope;
mod size;
mod state;
mod step;
mod step_end;
mod surroundings;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;

use stepflow_protocol::RunId;

pub use agenda::Agenda;
pub use decide::decide;
pub use effect::Effect;
pub use fold::fold;
pub use given::Given;
pub use input::Input;
pub(crate) use nested::{MAX_DEPTH, chain};
pub use state::{Ending, Item, ItemEnd, Run, RunTree, outstanding, owed_between};
pub use step::{Attempt, AttemptState, Phase, Step};
pub use surroundings::{Content, Missing, Need, Rules, Surroundings};
pub use waiting::Waiting;

use crate::event::{EVENT_VERSION, Event, Record, StepRef, TaskRef};

/// A run tree, with data that is computed from it.
#[derive(Debug)]
pub struct Machine {
    state: RunTree,
    agenda: Agenda,
    waiting: Waiting,
    /// The attempts that may go on after their wait, and that nobody has been told of.
    let_back: Vec<TaskRef>,
    /// Inputs that are not decided yet, because the append was full.
    inbox: VecDeque<Input>,
    /// Inputs that lack a value. They are tried again with the next [`Input::Continue`].
    stalled: Vec<Input>,
    /// Whether more may follow from the state, because something was missing or the append was full.
    unsettled: bool,
}

impl Machine {
    /// The machine of a tree in which nothing has happened.
    #[must_use]
    pub fn new(root: RunId) -> Self {
        Self {
            state: RunTree::new(root),
            agenda: Agenda::default(),
            waiting: Waiting::default(),
            let_back: Vec::new(),
            inbox: VecDeque::new(),
            stalled: Vec::new(),
            unsettled: false,
        }
    }

    /// The machine of a tree whose journal is about to be folded.
    #[must_use]
    pub fn building(root: RunId) -> Building {
        Building(Self::new(root))
    }

    /// The machine of a tree with this journal.
    #[must_use]
    pub fn recovered<'a>(root: RunId, journal: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut building = Self::building(root);
        for record in journal {
            building.fold(record);
        }
        building.finish()
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &RunTree {
        &self.state
    }

    /// The sequences of the due times that are over since the last call.
    pub fn take_settled(&mut self) -> Vec<u64> {
        self.state.take_settled()
    }

    /// The attempts that wait for runs.
    #[must_use]
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// The attempt waits for a run from now on. Its slot is free until [`Machine::waits_no_more`]. What can now begin
    /// comes with [`Input::Continue`].
    pub fn waits(&mut self, task: TaskRef) {
        self.waiting.begin(&self.state, task);
    }

    /// The attempt waits for one run less, and still for others.
    pub fn waits_less(&mut self, task: TaskRef) {
        self.waiting.end(task);
    }

    /// The attempt waits for no other run, and goes on when it is among those of [`Machine::take_let_back`]. It comes
    /// before attempts that have not begun.
    pub fn waits_no_more(&mut self, task: TaskRef) {
        if !self.waiting.return_to_work(task) {
            self.let_back.push(task);
        }
        self.let_back.extend(self.waiting.let_back(&self.state));
    }

    /// The attempts that waited for runs and hold a slot again since the last call.
    pub fn take_let_back(&mut self) -> Vec<TaskRef> {
        std::mem::take(&mut self.let_back)
    }

    /// Takes one input. Decides until nothing more follows, something is missing, or the append is full. The decided
    /// events are already folded into the state.
    pub fn apply(&mut self, input: Input, world: &mut dyn Surroundings) -> Applied {
        let mut applied = Applied::default();
        self.queue(input);
        self.unsettled = true;
        // New inputs come before what follows from the old ones: one may be the end of a run that would never end by
        // itself. None waits behind an input that lacks a value, except for an input about the same step.
        while let Some(next) = self.inbox.pop_front_if(|_| !applied.is_full()) {
            if self.stalled.iter().any(|before| about_same_task(before, &next)) {
                self.stalled.push(next);
            } else if let Err(missing) = self.take(next.clone(), world, &mut applied) {
                applied.misses(missing);
                self.stalled.push(next);
            }
        }
        while self.unsettled && !applied.is_full() {
            match self.take(Input::Continue, world, &mut applied) {
                Ok(more) => self.unsettled = more,
                Err(missing) => {
                    applied.misses(missing);
                    return applied;
                }
            }
        }
        applied.more = self.unsettled;
        applied
    }

    /// Puts an input where it is decided in time. The end of a run does not wait behind other inputs.
    fn queue(&mut self, input: Input) {
        match input {
            Input::Continue => {
                for stalled in self.stalled.drain(..).rev() {
                    self.inbox.push_front(stalled);
                }
            }
            Input::CancelAsked(_) | Input::DeadlineReached(_) => self.inbox.push_front(input),
            input => self.inbox.push_back(input),
        }
    }

    /// Whether something is left to decide, because something was missing or the append was full.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.unsettled || self.has_inputs()
    }

    /// Whether inputs are left to decide. If not, what is left follows from the state.
    #[must_use]
    pub fn has_inputs(&self) -> bool {
        !self.inbox.is_empty() || !self.stalled.is_empty()
    }

    /// Decides once. Whether there were events: more may follow from them.
    fn take(&mut self, input: Input, world: &mut dyn Surroundings, applied: &mut Applied) -> Result<bool, Missing> {
        let submitted = match &input {
            Input::Submitted(created, _) => Some(created.run),
            _ => None,
        };
        // Those that were at work before come before those that have not begun.
        self.let_back.extend(self.waiting.let_back(&self.state));
        let mut given = Given { agenda: &mut self.agenda, waiting: &self.waiting, world };
        let events = decide(&self.state, input, &mut given)?;
        let decided = !events.is_empty();
        if !decided {
            applied.refused.extend(submitted.filter(|run| !self.state.runs.contains_key(run)));
        }
        let at = world.now();
        for event in events {
            let record = Record { seq: self.state.seq + 1, at, version: EVENT_VERSION, event };
            self.fold(&record, world);
            applied.add(record);
        }
        Ok(decided)
    }

    /// The attempts of a step that ends do not wait for slots.
    fn release(&mut self, at: StepRef) {
        let Some(step) = self.state.step(at) else { return };
        for (task_id, attempt) in
            step.task.into_iter().flat_map(|task_id| (1..=step.newest()).map(move |n| (task_id, n)))
        {
            let task = TaskRef { task_id, attempt };
            if self.waiting.release(task) {
                self.let_back.push(task);
            }
        }
    }

    fn fold(&mut self, record: &Record, world: &mut dyn Surroundings) {
        match &record.event {
            Event::AttemptEnded(ended) => self.waiting.forget(ended.task),
            Event::StepEnded(ended) => self.release(ended.step),
            Event::OwnerChanged(_) => self.let_back.extend(self.waiting.take_all()),
            _ => {}
        }
        world.decided(&self.state, record);
        fold(&mut self.state, record);
        self.agenda.absorb(&self.state, &record.event, world.now());
    }
}

/// Whether both inputs are about attempts of the same step. Such inputs are decided in order.
fn about_same_task(one: &Input, other: &Input) -> bool {
    let task = |input: &Input| match input {
        Input::Answered(task, ..) | Input::TimedOut(task, _) => Some(task.task_id),
        _ => None,
    };
    task(one).is_some() && task(one) == task(other)
}

/// A machine whose journal is being folded.
#[derive(Debug)]
pub struct Building(Machine);

impl Building {
    /// The sequence of the last event.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.0.state.seq
    }

    /// Folds the next event.
    pub fn fold(&mut self, record: &Record) {
        fold(&mut self.0.state, record);
    }

    /// The machine after the fold.
    #[must_use]
    pub fn finish(mut self) -> Machine {
        self.0.state.take_settled();
        self.0.agenda = Agenda::of(&self.0.state);
        self.0
    }
}

/// The most events of one append. This is less than a millisecond of work, because other trees wait meanwhile. Several
/// decisions may be in one append, and the last one may exceed the limit.
const MOST_EVENTS: usize = 250;

/// The most bytes of values in one append, as with [`MOST_EVENTS`].
const MOST_BYTES: usize = 4 << 20;

/// The result of an input.
#[derive(Debug, Default)]
pub struct Applied {
    /// What was decided: one append.
    pub records: Vec<Arc<Record>>,
    /// What must be in memory before the rest can be decided. The waiting inputs are kept. Tell the machine
    /// [`Input::Continue`] when it is there.
    pub missing: Vec<Need>,
    /// Whether it ended because the append was full. Tell it [`Input::Continue`] when others have had their turn.
    pub more: bool,
    /// Whether it cannot continue: the journal refers to something that does not exist.
    pub hangs: bool,
    /// Runs that were not made, because the step or run that asked for them had ended.
    pub refused: Vec<RunId>,
    bytes: usize,
}

impl Applied {
    fn add(&mut self, record: Record) {
        self.bytes += record.event.size();
        self.records.push(Arc::new(record));
    }

    fn misses(&mut self, missing: Missing) {
        self.hangs |= missing.0.is_empty();
        self.missing.extend(missing.0);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES
    }
}
