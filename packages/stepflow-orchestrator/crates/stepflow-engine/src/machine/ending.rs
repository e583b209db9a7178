//! How runs are ended before their items are complete: because they are cancelled, out of time or not needed.
//!
//! The reason is a part of the state (`Run.ending`). What is still open is found again each time, the deepest first, so
//! that the end of a large run can be divided into several appends.

use std::collections::BTreeSet;
use std::ops::Bound;

use jiff::Timestamp;
use stepflow_protocol::{ErrorKind, ExecutionStatus, FlowError, RunId};

use super::policy::MOST_AT_ONCE;
use super::state::{Ending, RunTree};
use super::step::Phase;
use super::step_end::{step_failed, with_cause};
use crate::event::{CancelAsked, DeadlineReached, Event, ItemEnded, Outcome, RunEnded, StepRef};

/// Somebody asks for an end.
pub(super) fn cancelled(state: &RunTree, asked: CancelAsked) -> Vec<Event> {
    let run = asked.run.unwrap_or(state.root);
    let wanted = state.is_open(run) && state.ending(run).is_none();
    if wanted { vec![Event::CancelAsked(asked)] } else { Vec::new() }
}

/// The event that the time of a run is over; `None` if it is not, or if the run is ending already.
pub(super) fn deadline_reached(state: &RunTree, id: RunId, now: Timestamp) -> Option<Event> {
    let run = state.runs.get(&id)?;
    if run.status.is_terminal() || state.ending(id).is_some() || run.deadline_at > Some(now) {
        return None;
    }
    let of_step = run.parent.is_some()
        && run.nested.as_ref().and_then(|nested| nested.due_at).is_some_and(|due_at| due_at <= now);
    let cause = if of_step { state.cause_in(id) } else { None };
    Some(Event::DeadlineReached(DeadlineReached { run: id, of_step, cause }))
}

/// The next part of what is still open in these runs and below them.
pub(super) fn ends(state: &RunTree, runs: impl Iterator<Item = RunId>) -> Vec<Event> {
    let mut ends = Ends { state, events: Vec::new(), ended: BTreeSet::new() };
    for run in runs {
        if !ends.end_from(run) {
            break;
        }
    }
    ends.events
}

struct Ends<'a> {
    state: &'a RunTree,
    events: Vec<Event>,
    ended: BTreeSet<RunId>,
}

impl Ends<'_> {
    fn is_full(&self) -> bool {
        self.events.len() >= MOST_AT_ONCE
    }

    /// Ends the run and all below it, the deepest first. False when that is too much for now.
    fn end_from(&mut self, run: RunId) -> bool {
        // The path to the deepest run, with the last run below each that was looked at.
        let mut way = vec![(run, Bound::Unbounded)];
        while let Some((id, after)) = way.last_mut() {
            let below = self.state.runs.get(id).and_then(|run| run.below.range((*after, Bound::Unbounded)).next());
            if let Some(below) = below {
                *after = Bound::Excluded(*below);
                way.push((*below, Bound::Unbounded));
                continue;
            }
            let id = *id;
            if !self.ended.contains(&id) && !self.end(id) {
                return false;
            }
            self.ended.insert(id);
            way.pop();
        }
        true
    }

    /// Ends what is open in the run, and the run. False when that is too much for now.
    fn end(&mut self, id: RunId) -> bool {
        let state = self.state;
        let (Some(run), Some(ending)) = (state.runs.get(&id), state.ending(id)) else { return true };
        if run.status.is_terminal() {
            return true;
        }
        let (status, error) = shown(ending);
        let mut untouched = false;
        for (index, item) in (0_u32..).zip(&run.items).filter(|(_, item)| item.end.is_none()) {
            if item.steps.is_empty() {
                untouched = true;
                continue;
            }
            if self.is_full() {
                return false;
            }
            let open = item.steps.iter().filter(|(_, step)| step.phase != Phase::Ended);
            let at = |step: &u32| StepRef { run: id, item: index, step: *step };
            self.events.extend(open.map(|(step, _)| step_failed(at(step), error.clone())));
            // The timeout alone would hide why a step was being retried.
            let cause = state.cause(item).filter(|_| status == ExecutionStatus::Failed);
            let error = cause.map_or_else(|| error.clone(), |cause| with_cause(error.clone(), &cause));
            let result = Outcome::Failed(error);
            self.events.push(Event::ItemEnded(ItemEnded { run: id, item: index, status, result }));
        }
        if self.is_full() {
            return false;
        }
        self.events.push(Event::RunEnded(RunEnded { run: id, status, error: untouched.then_some(error) }));
        true
    }
}

/// The end of what is open in such a run.
fn shown(ending: &Ending) -> (ExecutionStatus, FlowError) {
    let cancelled = |message: &str| (ExecutionStatus::Cancelled, FlowError::new(ErrorKind::Cancelled, message));
    match ending {
        Ending::Cancelled { by, reason } => {
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            cancelled(&format!("cancelled by {by}{why}"))
        }
        Ending::TimedOut => {
            let message = "the run took longer than the flow's `timeout` allows";
            (ExecutionStatus::Failed, FlowError::new(ErrorKind::Timeout, message))
        }
        Ending::StepTimedOut { .. } => cancelled("the step around this run took longer than its `timeout` allows"),
        Ending::Orphaned => cancelled("the step that submitted the run has failed"),
        Ending::Outlived => cancelled("the run above it has ended; a `detached` run goes on by itself"),
    }
}
