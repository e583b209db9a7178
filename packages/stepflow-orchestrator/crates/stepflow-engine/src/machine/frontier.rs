//! What can happen next: which steps are wanted, what each waits for, which are ready.
//!
//! Derived from the state and never recorded: after a recovery it is found again by looking at every open item.
//! It is kept because an expression is evaluated again only when all that it waited for has ended, so that a chain
//! of n steps costs n looks and not n².

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use stepflow_flow::{Evaluated, Plan, StepIndex};
use stepflow_protocol::{FlowError, RunId, Value};

use super::Waiting;
use super::given::{Missing, Need, Surroundings, numbered, plan_of};
use super::scope::ItemScope;
use super::state::{Phase, RunTree};
use crate::event::{Event, Outcome, Reason, StepRef, ValueRef};

/// What can be scheduled next.
#[derive(Debug, Default)]
pub struct Frontier {
    items: BTreeMap<(RunId, u32), ItemFrontier>,
    /// The first item of each open run that has not been opened.
    unopened: BTreeMap<RunId, u32>,
    ready: BTreeMap<StepRef, Ready>,
    /// Steps whose input cannot be had.
    doomed: BTreeMap<StepRef, Doom>,
    /// Steps whose wait is over.
    rested: BTreeSet<StepRef>,
    /// Sub-runs that have ended and whose parents wait for them.
    returned: BTreeSet<RunId>,
    /// Sub-runs whose step has ended without a success of its own: nobody needs them any more.
    orphaned: BTreeSet<RunId>,
    /// Runs of which every item has ended.
    complete: BTreeSet<RunId>,
    /// Items with something to look at.
    stirred: BTreeSet<(RunId, u32)>,
    /// Items whose output is known and whose `mustExecute` steps have ended.
    finished: BTreeSet<(RunId, u32)>,
}

/// A step that can be scheduled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ready {
    /// Its input.
    pub input: ValueRef,
    /// Why.
    pub reason: Reason,
}

/// Why a step cannot run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Doom {
    /// The failure.
    pub error: FlowError,
    /// The step that it comes from.
    pub from: Option<StepIndex>,
}

/// One open item.
#[derive(Debug, Default)]
struct ItemFrontier {
    wanted: HashSet<StepIndex>,
    /// How many steps each node still waits for.
    waits: HashMap<Node, usize>,
    dependents: HashMap<StepIndex, Vec<Node>>,
    look: Vec<Node>,
    /// Steps that must run and have not ended.
    musts: HashSet<StepIndex>,
    output: Option<Result<Value, FlowError>>,
}

/// Something with an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Output,
    Step(StepIndex),
}

impl Frontier {
    /// Takes note of an event that was folded.
    pub(super) fn absorb(&mut self, state: &RunTree, event: &Event, now: Timestamp) {
        match event {
            Event::RunCreated(created) => {
                self.unopened.insert(created.run, 0);
                if created.items == 0 {
                    self.complete.insert(created.run);
                }
                if let Some(parent) = created.parent {
                    self.ready.remove(&parent);
                    self.returned.retain(|run| awaited(state, *run));
                }
            }
            Event::TimerStarted(timer) => drop(self.ready.remove(&timer.step)),
            Event::StepScheduled(scheduled) => drop(self.ready.remove(&scheduled.step)),
            Event::RetryScheduled(retry) if retry.due_at <= now => {
                if let Some(step) = state.tasks.get(&retry.task.task_id) {
                    self.wake(state, *step);
                }
            }
            Event::StepRetryScheduled(retry) => {
                self.rested.remove(&retry.step);
                self.returned.retain(|run| awaited(state, *run));
                if retry.due_at <= now {
                    self.wake(state, retry.step);
                }
            }
            Event::StepEnded(ended) => {
                if ended.defaulted || matches!(ended.result, Outcome::Failed(_)) {
                    self.orphan(state, ended.step);
                }
                self.step_ended(state, ended.step);
            }
            Event::StepReused(ended) => self.step_ended(state, ended.step),
            Event::StepEndedFromOutside(ended) => self.step_ended(state, ended.step),
            Event::ItemEnded(ended) => {
                self.forget_item(ended.run, ended.item);
                if state.runs.get(&ended.run).is_some_and(|run| run.unended == 0) {
                    self.complete.insert(ended.run);
                }
            }
            Event::RunEnded(ended) => {
                self.unopened.remove(&ended.run);
                self.complete.remove(&ended.run);
                self.orphaned.remove(&ended.run);
                if awaited(state, ended.run) {
                    self.returned.insert(ended.run);
                }
            }
            Event::OwnerChanged(_) => self.begin_again(state),
            Event::AttemptEnded(_) | Event::RetryScheduled(_) | Event::TimerFired(_) | Event::CancelAsked(_) => {}
        }
    }

    /// The step's time has come.
    pub(super) fn wake(&mut self, state: &RunTree, at: StepRef) {
        let Some(step) = state.step(at) else { return };
        if let (Phase::Retrying { reason, .. }, Some(input)) = (&step.phase, &step.input) {
            self.ready.insert(at, Ready { input: input.clone(), reason: *reason });
        }
        if matches!(step.phase, Phase::Sleeping { .. }) {
            self.rested.insert(at);
        }
    }

    /// The ready steps that the limits of their runs let through, at most so many, first first.
    pub(super) fn choose(&self, state: &RunTree, waiting: &Waiting, most: usize) -> Vec<(StepRef, Ready)> {
        let mut left: HashMap<RunId, usize> = HashMap::new();
        let mut fits = |run: RunId| {
            let left = left.entry(run).or_insert_with(|| waiting.free_slots_of(state, run));
            *left > 0 && {
                *left -= 1;
                true
            }
        };
        let fitting = self.ready.iter().filter(|(at, _)| fits(at.run)).take(most);
        fitting.map(|(at, ready)| (*at, ready.clone())).collect()
    }

    /// The steps whose wait is over.
    pub(super) fn rested(&self) -> impl Iterator<Item = &StepRef> {
        self.rested.iter()
    }

    /// The sub-runs that have ended and whose parents wait for them.
    pub(super) fn returned(&self) -> impl Iterator<Item = &RunId> {
        self.returned.iter()
    }

    /// The sub-runs that nobody needs any more.
    pub(super) fn orphaned(&self) -> impl Iterator<Item = RunId> {
        self.orphaned.iter().copied()
    }

    /// The runs of which every item has ended.
    pub(super) fn complete(&self) -> &BTreeSet<RunId> {
        &self.complete
    }

    /// The steps that cannot run.
    pub(super) fn doomed(&self) -> impl Iterator<Item = (&StepRef, &Doom)> {
        self.doomed.iter()
    }

    /// The items whose output is known and whose `mustExecute` steps have ended.
    pub(super) fn finished(&self) -> impl Iterator<Item = (RunId, u32, &Result<Value, FlowError>)> {
        self.finished.iter().filter_map(|at| Some((at.0, at.1, self.items.get(at)?.output.as_ref()?)))
    }

    /// The next item that nobody has looked at yet and whose run has slots for it; the deepest run's first.
    pub(super) fn next_unopened(&mut self, state: &RunTree, waiting: &Waiting) -> Option<(RunId, u32)> {
        for (id, next) in self.unopened.iter_mut().rev() {
            let Some(run) = state.runs.get(id) else { continue };
            if *next as usize >= run.items.len() {
                continue;
            }
            let begin = StepRef { run: *id, item: 0, step: 0 };
            let end = StepRef { run: *id, item: u32::MAX, step: u32::MAX };
            if self.ready.range(begin..=end).count() >= waiting.free_slots_of(state, *id) {
                continue;
            }
            while let Some(item) = run.items.get(*next as usize) {
                if item.end.is_none() {
                    return Some((*id, *next));
                }
                *next += 1;
            }
        }
        None
    }

    /// Opens the item: its output and its `mustExecute` steps are wanted.
    pub(super) fn open(&mut self, state: &RunTree, plan: &Plan, at: (RunId, u32)) {
        if let Some(next) = self.unopened.get_mut(&at.0) {
            *next = at.1 + 1;
        }
        let mut item = ItemFrontier { look: vec![Node::Output], ..ItemFrontier::default() };
        for step in plan.must_execute() {
            let place = StepRef { run: at.0, item: at.1, step: numbered(step) };
            if state.step(place).is_none_or(|step| step.result.is_none()) {
                item.musts.insert(step);
            }
            item.want(step);
        }
        self.items.insert(at, item);
        self.stirred.insert(at);
    }

    /// Looks at every expression that may have become known.
    ///
    /// # Errors
    /// The values that have to be in memory for it. What was looked at before is not looked at again.
    pub(super) fn explore(&mut self, state: &RunTree, world: &dyn Surroundings) -> Result<(), Missing> {
        while let Some(at) = self.stirred.first().copied() {
            let run = state.runs.get(&at.0);
            let item = run.and_then(|run| Some((run, run.items.get(at.1 as usize)?)));
            let (Some(frontier), Some((run, item))) = (self.items.get_mut(&at), item) else {
                self.stirred.remove(&at);
                continue;
            };
            let plan = plan_of(world, state, at.0)?;
            let scope = ItemScope { id: at.0, index: at.1, run, item, world };
            while let Some(node) = frontier.look.pop() {
                if let Err(missing) = frontier.look_at(node, &plan, &scope, &mut self.ready, &mut self.doomed) {
                    frontier.look.push(node);
                    return Err(missing);
                }
            }
            if frontier.output.is_some() && frontier.musts.is_empty() {
                self.finished.insert(at);
            }
            self.stirred.remove(&at);
        }
        Ok(())
    }

    fn step_ended(&mut self, state: &RunTree, at: StepRef) {
        if !self.returned.is_empty() {
            self.returned.retain(|run| awaited(state, *run));
        }
        self.ready.remove(&at);
        self.doomed.remove(&at);
        self.rested.remove(&at);
        let Some(item) = self.items.get_mut(&(at.run, at.item)) else { return };
        let step = at.step as StepIndex;
        item.musts.remove(&step);
        for node in item.dependents.remove(&step).unwrap_or_default() {
            let Some(waits) = item.waits.get_mut(&node) else { continue };
            *waits -= 1;
            if *waits == 0 {
                item.waits.remove(&node);
                item.look.push(node);
            }
        }
        if !item.look.is_empty() || item.musts.is_empty() {
            self.stirred.insert((at.run, at.item));
        }
    }

    /// Takes note of the open sub-runs of a step.
    fn orphan(&mut self, state: &RunTree, step: StepRef) {
        if state.runs.get(&step.run).is_some_and(|run| run.below > 0) {
            let open = state.runs.iter().filter(|(_, run)| run.parent == Some(step) && !run.status.is_terminal());
            self.orphaned.extend(open.map(|(id, _)| *id));
        }
    }

    /// Forgets an item that has ended. One that was closed before its end may have steps that had not begun.
    fn forget_item(&mut self, run: RunId, item: u32) {
        self.items.remove(&(run, item));
        self.stirred.remove(&(run, item));
        self.finished.remove(&(run, item));
        let steps = StepRef { run, item, step: 0 }..=StepRef { run, item, step: u32::MAX };
        let left: Vec<StepRef> = self.ready.range(steps.clone()).map(|(at, _)| *at).collect();
        left.iter().for_each(|at| drop(self.ready.remove(at)));
        let left: Vec<StepRef> = self.doomed.range(steps.clone()).map(|(at, _)| *at).collect();
        left.iter().for_each(|at| drop(self.doomed.remove(at)));
        self.rested.retain(|at| !steps.contains(at));
    }

    /// Forgets everything; what is open is found again as slots get free.
    pub(super) fn begin_again(&mut self, state: &RunTree) {
        let running = state.runs.iter().filter(|(_, run)| !run.status.is_terminal());
        let complete = running.clone().filter(|(_, run)| run.unended == 0).map(|(id, _)| *id);
        let returned = state.runs.keys().copied().filter(|run| awaited(state, *run));
        *self = Self {
            unopened: running.map(|(id, _)| (*id, 0)).collect(),
            complete: complete.collect(),
            returned: returned.collect(),
            ..Self::default()
        };
    }
}

/// Whether this run has ended and a step waits for it.
fn awaited(state: &RunTree, id: RunId) -> bool {
    let Some(run) = state.runs.get(&id).filter(|run| run.status.is_terminal()) else { return false };
    let parent = run.parent.and_then(|parent| state.step(parent));
    parent.is_some_and(|step| step.phase == Phase::Nested(id))
}

impl ItemFrontier {
    fn want(&mut self, step: StepIndex) {
        if self.wanted.insert(step) {
            self.look.push(Node::Step(step));
        }
    }

    fn look_at(
        &mut self,
        node: Node,
        plan: &Plan,
        scope: &ItemScope<'_>,
        ready: &mut BTreeMap<StepRef, Ready>,
        doomed: &mut BTreeMap<StepRef, Doom>,
    ) -> Result<(), Missing> {
        let expression = match node {
            Node::Output => &plan.output,
            Node::Step(step) => {
                let at = StepRef { run: scope.id, item: scope.index, step: numbered(step) };
                if let Some(begun) = scope.item.steps.get(&at.step).filter(|step| step.phase != Phase::Idle) {
                    // After a recovery: an attempt is owed, in its time, or the step has ended.
                    if let (Phase::Retrying { reason, owed: None, .. }, Some(input)) = (&begun.phase, &begun.input) {
                        ready.insert(at, Ready { input: input.clone(), reason: *reason });
                    }
                    return Ok(());
                }
                &plan.steps[step].input
            }
        };
        match (expression.evaluate(scope), node) {
            (Evaluated::Missing(places), _) => {
                Err(Missing(places.iter().filter_map(|place| scope.reference(place)).map(Need::Value).collect()))
            }
            (Evaluated::Pending(steps), _) => {
                self.waits.insert(node, steps.len());
                for step in steps {
                    self.dependents.entry(step).or_default().push(node);
                    self.want(step);
                }
                Ok(())
            }
            (Evaluated::Value(value), Node::Output) => {
                self.output = Some(Ok(value));
                Ok(())
            }
            (Evaluated::Failed { error, .. }, Node::Output) => {
                self.output = Some(Err(error));
                Ok(())
            }
            (Evaluated::Value(value), Node::Step(step)) => {
                let at = StepRef { run: scope.id, item: scope.index, step: numbered(step) };
                ready.insert(at, Ready { input: ValueRef::Inline(value), reason: Reason::First });
                Ok(())
            }
            (Evaluated::Failed { error, step: from }, Node::Step(step)) => {
                let at = StepRef { run: scope.id, item: scope.index, step: numbered(step) };
                doomed.insert(at, Doom { error, from });
                Ok(())
            }
        }
    }
}
