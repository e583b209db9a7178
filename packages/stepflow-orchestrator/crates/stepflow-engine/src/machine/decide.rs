//! Decides what has happened. It changes nothing: `fold` applies the events.

use stepflow_protocol::{ErrorKind, ExecutionStatus, FlowError, RunId, TaskId, Value};

use super::agenda::Ready;
use super::frontier::{Doom, ItemRef};
use super::given::Given;
use super::input::Input;
use super::policy::MOST_AT_ONCE;
use super::state::RunTree;
use super::step::Phase;
use super::step_end::{refused, step_failed};
use super::surroundings::{Missing, Need, numbered, plan_of, those_known};
use super::{answer, confidential, ending, nested};
use crate::event::{
    Event, ItemEnded, Outcome, Reason, RunCreated, RunEnded, StepRef, StepScheduled, TaskRef, ValueRef,
};
use crate::ports::{Purity, Target};

/// How many steps an error names that it came by.
const MOST_VIA: usize = 16;

/// The events that follow from this input. The caller folds them and asks again with [`Input::Continue`] until nothing
/// follows.
///
/// # Errors
/// [`Missing`] when values must be in memory first.
pub fn decide(state: &RunTree, input: Input, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    match input {
        // Repeated after a failed append that was durable in spite of the failure.
        Input::Submitted(created, _) if state.runs.contains_key(&created.run) => Ok(Vec::new()),
        // The step or run that asked for it has ended while this input waited.
        Input::Submitted(created, _) if !has_parent(state, &created) => Ok(Vec::new()),
        Input::Submitted(created, inputs) => {
            given.world.inputs(created.run, inputs);
            Ok(vec![Event::RunCreated(created)])
        }
        Input::Answered(task, answer, by) => Ok(answer::by(by, answer::answered(state, task, answer, given)?)),
        Input::TimedOut(task, by) => Ok(answer::by(by, answer::timed_out(state, task, given)?)),
        Input::Due(at) => {
            given.agenda.wake(state, at);
            proceed(state, given)
        }
        Input::DeadlineReached(run) => match ending::deadline_reached(state, run, given.world.now()) {
            Some(event) => Ok(vec![event]),
            None => proceed(state, given),
        },
        Input::CancelAsked(asked) => Ok(ending::cancelled(state, asked)),
        Input::OwnerChanged(changed) => Ok(vec![Event::OwnerChanged(changed)]),
        Input::Continue => proceed(state, given),
    }
}

/// Whether what asks for this run is still open. A root run is asked for from outside.
fn has_parent(state: &RunTree, created: &RunCreated) -> bool {
    let step = created
        .parent
        .is_none_or(|at| state.is_open(at.run) && state.step(at).is_some_and(|step| step.phase != Phase::Ended));
    step && created.parent_run.is_none_or(|run| state.is_open(run))
}

/// What follows from the state: ends first, then failures without a component, then new attempts.
fn proceed(state: &RunTree, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    if state.is_ended() {
        return Ok(Vec::new());
    }
    let now = given.world.now();
    let overdue = given.agenda.overdue().filter_map(|run| ending::deadline_reached(state, run, now));
    let events: Vec<Event> = overdue.take(MOST_AT_ONCE).collect();
    if !events.is_empty() {
        return Ok(events);
    }
    // Invariant 3: nothing is scheduled in a run that is being ended.
    let events = ending::ends(state, given.agenda.ending());
    if !events.is_empty() {
        return Ok(events);
    }
    loop {
        given.agenda.explore(state, given.world)?;
        for follow in [doomed, finished, nested::rested, nested::returned] {
            let events = follow(state, given)?;
            if !events.is_empty() {
                return Ok(events);
            }
        }
        let room = given.waiting.free_slots(state).min(MOST_AT_ONCE);
        let items = given.agenda.next_unopened(state, given.waiting, room);
        if items.is_empty() {
            return schedule(state, given.agenda.choose(state, given.waiting, room), given);
        }
        given.agenda.open(items);
    }
}

/// Steps whose input failed. They are not retried, and `onError` does not apply: it is not a failure of the component.
fn doomed(state: &RunTree, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    let failed = |(at, doom): (StepRef, &Doom)| {
        let mut error = doom.error.clone();
        let plan = plan_of(given.world, state, at.run)?;
        let own = plan.steps.get(at.step as usize).filter(|_| doom.from.is_none());
        if let Some(own) = own {
            error = replaced(error, "step", Value::string(&own.id));
        } else if let Some(from) = doom.from.and_then(|from| plan.steps.get(from)) {
            error = passed_on(error, &from.id);
        }
        Ok(step_failed(at, confidential::shown(state, at, None, error, given)?))
    };
    those_known(given.agenda.doomed().take(MOST_AT_ONCE).map(failed))
}

/// The error of a step that uses the result of this one. It names the newest steps that it came by, and counts the
/// others: in a long chain, an error that names all would be recorded in each step.
fn passed_on(error: FlowError, from: &str) -> FlowError {
    let field = |name: &str| error.data.as_ref().and_then(|data| data.field(name));
    let mut via = field("via").map_or_else(Vec::new, |via| via.elements());
    let omitted: u64 = field("viaOmitted").and_then(|count| count.deserialize().ok()).unwrap_or(0);
    via.push(Value::string(from));
    let excess = via.len().saturating_sub(MOST_VIA);
    via.drain(..excess);
    let error = replaced(error, "via", Value::array(via));
    match omitted + excess as u64 {
        0 => error,
        omitted => replaced(error, "viaOmitted", omitted.into()),
    }
}

/// The error with this field in its data. It replaces a field with the same name.
fn replaced(mut error: FlowError, name: &str, value: Value) -> FlowError {
    let mut members = error.data.as_ref().map(Value::members).unwrap_or_default();
    members.retain(|(key, _)| key != name);
    members.push((name.to_owned(), value));
    error.data = Some(Value::object(members));
    error
}

/// Items that are complete, and runs whose last items they were.
fn finished(state: &RunTree, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    let ended = |((run, item), output): (ItemRef, &Result<ValueRef, FlowError>)| {
        let result = match output {
            Err(error) => Outcome::Failed(confidential::shown_of_item(state, run, item, error.clone(), given)?),
            Ok(place) => {
                failed_must(state, given, run, item)?.map_or_else(|| Outcome::Success(place.clone()), Outcome::Failed)
            }
        };
        let status = match result {
            Outcome::Success(_) => ExecutionStatus::Completed,
            Outcome::Failed(_) => ExecutionStatus::Failed,
        };
        Ok(Event::ItemEnded(ItemEnded { run, item, status, result }))
    };
    let mut events = those_known(given.agenda.finished().take(MOST_AT_ONCE).map(ended))?;
    if events.is_empty() {
        // Runs whose items have all ended. A run without items is one of them from the beginning.
        let complete = given.agenda.complete().filter_map(|id| Some((id, state.runs.get(&id)?)));
        events.extend(complete.take(MOST_AT_ONCE).map(|(run, of)| {
            let status = if of.failed { ExecutionStatus::Failed } else { ExecutionStatus::Completed };
            Event::RunEnded(RunEnded { run, status, error: None })
        }));
    }
    Ok(events)
}

/// The error of the item's first failed `mustExecute` step. The item fails with it, also if its output has a value.
fn failed_must(state: &RunTree, given: &Given<'_>, run: RunId, item: u32) -> Result<Option<FlowError>, Missing> {
    let plan = plan_of(given.world, state, run)?;
    let failed = plan.must_execute().find_map(|step| {
        let at = StepRef { run, item, step: numbered(step) };
        match state.step(at)?.result.as_ref()? {
            Outcome::Failed(error) => Some(error.clone()),
            Outcome::Success(_) => None,
        }
    });
    Ok(failed)
}

/// Begins ready steps, if there is room for them.
fn schedule(state: &RunTree, chosen: Vec<(StepRef, Ready)>, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    let missing: Vec<Need> = chosen
        .iter()
        .filter(|(_, ready)| given.world.value(&ready.input).is_none())
        .map(|(_, ready)| Need::Value(ready.input.clone()))
        .collect();
    if !missing.is_empty() {
        return Err(Missing(missing));
    }
    // Steps that can begin do so. The others wait until their values are there.
    those_known(chosen.into_iter().filter_map(|(at, ready)| begin(state, at, ready, given).transpose()))
}

/// How a ready step begins: with an attempt, a sub-run or a wait. It ends at once if no component can take its input.
fn begin(state: &RunTree, at: StepRef, ready: Ready, given: &mut Given<'_>) -> Result<Option<Event>, Missing> {
    let plan = plan_of(given.world, state, at.run)?;
    let (Some(step), Some(input)) = (plan.steps.get(at.step as usize), given.world.value(&ready.input)) else {
        return Ok(None);
    };
    let before = state.step(at);
    let most = given.world.rules().max_server_crashes;
    if let Some(suspect) = before.filter(|step| most > 0 && step.owners_lost >= most) {
        let message = format!("the server crashed {most} times in a row while a worker was running this step");
        let attempt = [("attempt", Value::from(u64::from(suspect.newest())))];
        let error = FlowError::new(ErrorKind::OrchestratorError, message).with(attempt);
        return refused(state, &plan, at, &ready.input, error, given).map(Some);
    }
    let target = match given.world.resolve(&step.component, &input) {
        // Its worker may not be up yet: it can wait where it was before.
        Err(error) if ready.reason == Reason::Recovery && error.kind == ErrorKind::Unreachable => {
            match before.and_then(|step| step.attempts.last()) {
                Some(attempt) => Ok(Target::Component { route: attempt.route.clone(), purity: Purity::External }),
                None => Err(error),
            }
        }
        target => target,
    };
    let begun = match target {
        Err(error) => refused(state, &plan, at, &ready.input, error, given)?,
        Ok(Target::SubFlow(control)) => nested::begin(state, &plan, at, control, ready.input, given)?,
        Ok(Target::Undecided) => return Ok(None),
        Ok(Target::Timer) => nested::sleep(state, &plan, at, ready.input, &input, given)?,
        Ok(Target::Component { route, .. }) => {
            let task_id = match before.and_then(|step| step.task) {
                Some(task) => task,
                None => TaskId::from_uuid(given.world.new_id()),
            };
            let attempt = before.map_or(0, super::step::Step::newest) + 1;
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
