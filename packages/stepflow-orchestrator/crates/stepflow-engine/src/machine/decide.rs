//! Says what has happened. Changes nothing: see `fold` for what an event does.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepflow_flow::Plan;
use stepflow_protocol::{ErrorKind, ExecutionStatus, FlowError, RunId, TaskId, Value};

use super::frontier::Ready;
use super::given::{Given, Missing, Need, plan_of};
use super::state::{Phase, Run, RunTree};
use super::{answer, confidential, nested, policy};
use crate::event::{
    CancelAsked, Event, Instance, ItemEnded, Outcome, OwnerChanged, RunCreated, RunEnded, StepEnded, StepRef,
    StepScheduled, TaskRef, ValueRef,
};
use crate::ports::{Answer, Target};

/// Something that the tree has to take note of.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A run was submitted, with the inputs of its items.
    Submitted(Box<RunCreated>, Vec<Value>),
    /// A host answered for the worker that had the attempt.
    Answered(TaskRef, Answer, Option<Arc<Instance>>),
    /// An attempt took longer than its timeout at this worker.
    TimedOut(TaskRef, Option<Arc<Instance>>),
    /// The time has come that a step waits for.
    Due(StepRef),
    /// The time has come at which a run has to be done.
    DeadlineReached(RunId),
    /// Somebody wants the tree to end.
    CancelAsked(CancelAsked),
    /// This engine takes over the tree.
    OwnerChanged(OwnerChanged),
    /// Nothing new: what follows from what is known.
    Continue,
}

/// What has happened, now that this input is known. The caller folds it and asks again with [`Input::Continue`] until
/// nothing follows.
///
/// # Errors
/// [`Missing`] when values have to be in memory first.
pub fn decide(state: &RunTree, input: Input, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    match input {
        // Told again after a failed append that was durable all the same.
        Input::Submitted(created, _) if state.runs.contains_key(&created.run) => Ok(Vec::new()),
        Input::Submitted(created, inputs) => {
            given.world.inputs(created.run, inputs);
            Ok(vec![Event::RunCreated(created)])
        }
        Input::Answered(task, answer, by) => Ok(answer::by(by, answer::answered(state, task, answer, given)?)),
        Input::TimedOut(task, by) => Ok(answer::by(by, answer::timed_out(state, task, given)?)),
        Input::Due(at) => {
            given.frontier.wake(state, at);
            proceed(state, given)
        }
        Input::DeadlineReached(run) => match deadline_reached(state, run, given)? {
            nothing if nothing.is_empty() => proceed(state, given),
            events => Ok(events),
        },
        Input::CancelAsked(asked) => Ok(cancelled(state, asked)),
        Input::OwnerChanged(changed) => Ok(vec![Event::OwnerChanged(changed)]),
        Input::Continue => proceed(state, given),
    }
}

/// What follows from what is known: ends first, then failures that need no component, then new attempts.
fn proceed(state: &RunTree, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    // Invariant 3: nothing is scheduled after a cancel or the end.
    if state.cancel_asked || state.is_ended() {
        return Ok(Vec::new());
    }
    let events = orphaned(state, given);
    if !events.is_empty() {
        return Ok(events);
    }
    loop {
        given.frontier.explore(state, given.world)?;
        let events = doomed(state, given)?;
        if !events.is_empty() {
            return Ok(events);
        }
        let events = finished(state, given)?;
        if !events.is_empty() {
            return Ok(events);
        }
        let events = nested::rested(state, given)?;
        if !events.is_empty() {
            return Ok(events);
        }
        let events = nested::returned(state, given)?;
        if !events.is_empty() {
            return Ok(events);
        }
        let free = given.waiting.free_slots(state);
        let chosen = given.frontier.choose(state, given.waiting, free);
        if free > chosen.len()
            && let Some(at) = given.frontier.next_unopened(state, given.waiting)
        {
            let plan = plan_of(given.world, state, at.0)?;
            given.frontier.open(state, &plan, at);
            continue;
        }
        return schedule(state, chosen, given);
    }
}

/// Steps whose input failed. Never retried, and `onError` is not asked: the component was not at fault.
fn doomed(state: &RunTree, given: &Given<'_>) -> Result<Vec<Event>, Missing> {
    let failed = |(at, doom): (&StepRef, &super::frontier::Doom)| {
        let mut error = doom.error.clone();
        let plan = plan_of(given.world, state, at.run)?;
        let own = plan.steps.get(at.step as usize).filter(|_| doom.from.is_none());
        if let Some(own) = own {
            error = replaced(error, "step", Value::string(&own.id));
        } else if let Some(from) = doom.from.and_then(|from| plan.steps.get(from)) {
            let mut via =
                error.data.as_ref().and_then(|data| data.field("via")).map_or_else(Vec::new, |v| v.elements());
            via.push(Value::string(&from.id));
            error = replaced(error, "via", Value::array(via));
        }
        Ok(step_failed(*at, confidential::shown(state, *at, None, error, given)?))
    };
    given.frontier.doomed().map(failed).collect()
}

/// The error with this field in its data, in place of one of that name.
fn replaced(mut error: FlowError, name: &str, value: Value) -> FlowError {
    let mut members = error.data.as_ref().map(Value::members).unwrap_or_default();
    members.retain(|(key, _)| key != name);
    members.push((name.to_owned(), value));
    error.data = Some(Value::object(members));
    error
}

/// Items that have come to their end, and runs whose last item they were.
fn finished(state: &RunTree, given: &Given<'_>) -> Result<Vec<Event>, Missing> {
    let mut events = Vec::new();
    for (run, item, output) in given.frontier.finished() {
        let result = match output {
            Err(error) => Outcome::Failed(confidential::shown_of_item(state, run, item, error.clone(), given)?),
            Ok(value) => failed_must(state, given, run, item)?
                .map_or_else(|| Outcome::Success(ValueRef::Inline(value.clone())), Outcome::Failed),
        };
        let status = match result {
            Outcome::Success(_) => ExecutionStatus::Completed,
            Outcome::Failed(_) => ExecutionStatus::Failed,
        };
        events.push(Event::ItemEnded(ItemEnded { run, item, status, result }));
    }
    if events.is_empty() {
        // Runs of which every item has been folded as ended; a run without items is one at once.
        let complete = given.frontier.complete();
        events.extend(outlived(state, complete));
        let ended = complete.iter().filter_map(|id| Some((*id, state.runs.get(id)?)));
        events.extend(ended.map(|(run, Run { failed, .. })| {
            let status = if *failed { ExecutionStatus::Failed } else { ExecutionStatus::Completed };
            Event::RunEnded(RunEnded { run, status })
        }));
    }
    Ok(events)
}

/// The error of the item's first failed `mustExecute` step: the item fails with it whatever its output is.
fn failed_must(state: &RunTree, given: &Given<'_>, run: RunId, item: u32) -> Result<Option<FlowError>, Missing> {
    let plan = plan_of(given.world, state, run)?;
    let failed = plan.must_execute().find_map(|step| {
        let at = StepRef { run, item, step: super::given::numbered(step) };
        match state.step(at)?.result.as_ref()? {
            Outcome::Failed(error) => Some(error.clone()),
            Outcome::Success(_) => None,
        }
    });
    Ok(failed)
}

/// What begins for the ready steps that there is room for.
fn schedule(state: &RunTree, chosen: Vec<(StepRef, Ready)>, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    let missing: Vec<Need> = chosen
        .iter()
        .filter(|(_, ready)| given.world.value(&ready.input).is_none())
        .map(|(_, ready)| Need::Value(ready.input.clone()))
        .collect();
    if !missing.is_empty() {
        return Err(Missing(missing));
    }
    let mut events = Vec::with_capacity(chosen.len());
    for (at, ready) in chosen {
        match begin(state, at, ready, given) {
            Ok(event) => events.extend(event),
            // What can begin does; the rest comes when its values are there.
            Err(missing) if events.is_empty() => return Err(missing),
            Err(_) => break,
        }
    }
    Ok(events)
}

/// How a ready step begins: with an attempt, a sub-run, a wait, or its end where nothing can take it.
fn begin(state: &RunTree, at: StepRef, ready: Ready, given: &mut Given<'_>) -> Result<Option<Event>, Missing> {
    let plan = plan_of(given.world, state, at.run)?;
    let (Some(step), Some(input)) = (plan.steps.get(at.step as usize), given.world.value(&ready.input)) else {
        return Ok(None);
    };
    let before = state.step(at);
    let most = given.world.rules().max_server_crashes;
    if most > 0 && before.is_some_and(|step| step.owners_lost >= most) {
        let message = format!("the server crashed {most} times in a row while a worker was running this step");
        return Ok(Some(step_failed(at, FlowError::new(ErrorKind::OrchestratorError, message))));
    }
    let begun = match given.world.resolve(&step.component, &input) {
        Err(error) => refused(state, &plan, at, &ready.input, error, given)?,
        Ok(Target::SubFlow(control)) => nested::begin(state, &plan, at, control, ready.input, given)?,
        Ok(Target::Undecided) => return Ok(None),
        Ok(Target::Timer) => nested::sleep(state, &plan, at, ready.input, &input, given)?,
        Ok(Target::Component { route, .. }) => {
            let task_id = match before.and_then(|step| step.task) {
                Some(task) => task,
                None => TaskId::from_uuid(given.world.new_id()),
            };
            let attempt = before.map_or(0, super::Step::newest) + 1;
            Event::StepScheduled(StepScheduled {
                step: at,
                task: TaskRef { task_id, attempt },
                component: step.component.clone(),
                route,
                input: ready.input,
                reason: ready.reason,
            })
        }
    };
    Ok(Some(begun))
}

/// A step that its route or its component's input schema refuses: its default applies, `retry` does not.
pub(super) fn refused(
    state: &RunTree,
    plan: &Plan,
    at: StepRef,
    input: &ValueRef,
    error: FlowError,
    given: &Given<'_>,
) -> Result<Event, Missing> {
    let step = &plan.steps[at.step as usize];
    if let Some(value) = policy::default_of(step) {
        return Ok(defaulted(at, value));
    }
    let place = [("step", Value::string(&step.id)), ("component", Value::string(&step.component))];
    Ok(step_failed(at, confidential::shown(state, at, Some(input), error, given)?.with(place)))
}

/// A step that ends with `onError`'s default.
pub(super) fn defaulted(step: StepRef, value: &Value) -> Event {
    Event::StepEnded(StepEnded { step, result: Outcome::Success(ValueRef::Inline(value.clone())), defaulted: true })
}

/// A step that ends with an error.
pub(super) fn step_failed(step: StepRef, error: FlowError) -> Event {
    Event::StepEnded(StepEnded { step, result: Outcome::Failed(error), defaulted: false })
}

fn cancelled(state: &RunTree, asked: CancelAsked) -> Vec<Event> {
    let run = asked.run.unwrap_or(state.root);
    if state.cancel_asked || !state.is_open(run) {
        return Vec::new();
    }
    let why = asked.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let error = FlowError::new(ErrorKind::Cancelled, format!("cancelled by {}{why}", asked.by));
    let mut events = vec![Event::CancelAsked(asked)];
    events.extend(closed_from(state, [run], ExecutionStatus::Cancelled, &error));
    events
}

/// Sub-runs whose step has failed, or goes on with its default: it waits for them no more.
fn orphaned(state: &RunTree, given: &Given<'_>) -> Vec<Event> {
    let error = FlowError::new(ErrorKind::Cancelled, "the step that submitted the run has failed");
    closed_from(state, given.frontier.orphaned(), ExecutionStatus::Cancelled, &error)
}

/// What is still open below runs that end: no sub-run outlives the run above it.
fn outlived(state: &RunTree, ending: &BTreeSet<RunId>) -> Vec<Event> {
    let error = FlowError::new(ErrorKind::Cancelled, "the run above it has ended; a `detached` run goes on by itself");
    let below = with_all_below(state, ending.iter().copied()).into_iter().filter(|run| !ending.contains(run));
    below.flat_map(|run| closed(state, run, ExecutionStatus::Cancelled, &error)).collect()
}

fn deadline_reached(state: &RunTree, id: RunId, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    let now = given.world.now();
    let Some(run) = state.runs.get(&id) else { return Ok(Vec::new()) };
    if run.status.is_terminal() || run.deadline_at > Some(now) {
        return Ok(Vec::new());
    }
    match run.parent.filter(|_| nested::is_overdue(run, now)) {
        Some(at) => nested::timed_out(state, at, id, given),
        None => {
            let error = FlowError::new(ErrorKind::Timeout, "the run took longer than the flow's `timeout` allows");
            let mut events = closed_from(state, [id], ExecutionStatus::Failed, &error);
            events.iter_mut().for_each(|event| explain(state, event));
            Ok(events)
        }
    }
}

/// Adds to the end of an item why one of its steps was being tried again: the timeout alone would hide it.
fn explain(state: &RunTree, event: &mut Event) {
    let Event::ItemEnded(ItemEnded { run, item, result: Outcome::Failed(error), .. }) = event else { return };
    let item = state.runs.get(run).and_then(|run| run.items.get(*item as usize));
    if let Some(cause) = item.and_then(|item| state.cause(item)) {
        *error = with_cause(error.clone(), cause);
    }
}

/// The error with another one that it would hide.
pub(super) fn with_cause(error: FlowError, cause: &FlowError) -> FlowError {
    match Value::from_serialize(cause) {
        Ok(cause) => error.with([("cause", cause)]),
        // It is nested as deep as values can be.
        Err(_) => error.with([("cause", Value::string(&cause.message))]),
    }
}

/// The end of these runs and of all that is open below them.
pub(super) fn closed_from(
    state: &RunTree,
    runs: impl IntoIterator<Item = RunId>,
    status: ExecutionStatus,
    error: &FlowError,
) -> Vec<Event> {
    with_all_below(state, runs).into_iter().flat_map(|run| closed(state, run, status, error)).collect()
}

/// These runs and those below them, each once, the deepest first.
fn with_all_below(state: &RunTree, runs: impl IntoIterator<Item = RunId>) -> Vec<RunId> {
    let mut seen = BTreeSet::new();
    let mut found: Vec<RunId> =
        runs.into_iter().flat_map(|run| state.with_descendants(run)).filter(|run| seen.insert(*run)).collect();
    found.reverse();
    found
}

/// The end of everything in a run that has not ended.
fn closed(state: &RunTree, id: RunId, status: ExecutionStatus, error: &FlowError) -> Vec<Event> {
    let Some(run) = state.runs.get(&id).filter(|run| !run.status.is_terminal()) else { return Vec::new() };
    let mut events = Vec::new();
    for (index, item) in (0_u32..).zip(&run.items).filter(|(_, item)| item.end.is_none()) {
        let begun = item.steps.iter().filter(|(_, step)| step.phase != Phase::Ended);
        events.extend(begun.map(|(step, _)| step_failed(StepRef { run: id, item: index, step: *step }, error.clone())));
        let result = Outcome::Failed(error.clone());
        events.push(Event::ItemEnded(ItemEnded { run: id, item: index, status, result }));
    }
    events.push(Event::RunEnded(RunEnded { run: id, status }));
    events
}
