//! Steps of control flow in the machine: they run a flow, or wait, and hold no slot meanwhile.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, ErrorKind, ExecutionStatus, FlowError, FlowResult, RunId, Value};

use super::given::Given;
use super::policy::MOST_AT_ONCE;
use super::results::{evaluated, fitting, mapped, results};
use super::state::{Ending, Run, RunTree};
use super::step_end::{defaulted, refused, step_failed, succeeded, with_cause};
use super::surroundings::{Content, Missing, Need, plan_of, those_known};
use super::{confidential, policy};
use crate::event::{Control, Event, Nested, RunCreated, StepRef, StepRetryScheduled, TimerStarted, ValueRef};
use crate::shard::in_shard_of;

/// How many runs may be above a run.
pub(crate) const MAX_DEPTH: usize = 64;

/// How often `iterate` runs its flow if its input does not say.
const MAX_ITERATIONS: u64 = 1_000;

/// The beginning of a step that waits; not for longer than its timeout.
pub(super) fn sleep(
    state: &RunTree,
    plan: &Plan,
    at: StepRef,
    place: ValueRef,
    input: &Value,
    given: &Given<'_>,
) -> Result<Event, Missing> {
    let now = given.world.now();
    let wait = number(input, "duration_ms").and_then(|wait| i64::try_from(wait).ok()).map(SignedDuration::from_millis);
    let Some(rested_at) = wait.and_then(|wait| now.checked_add(wait).ok()) else {
        let error = invalid("`duration_ms` has to be a number of milliseconds that a calendar can hold");
        return refused(state, plan, at, &place, error, given);
    };
    let limit = due_at(plan, at, now).filter(|limit| *limit < rested_at);
    let due_at = limit.unwrap_or(rested_at);
    Ok(Event::TimerStarted(TimerStarted { step: at, due_at, input: place, times_out: limit.is_some() }))
}

/// The deadline of a step that begins now.
fn due_at(plan: &Plan, at: StepRef, now: Timestamp) -> Option<Timestamp> {
    plan.steps.get(at.step as usize)?.timeout.map(|timeout| policy::after(now, timeout))
}

/// What follows for steps whose wait is over: they end with their input, or with their timeout.
pub(super) fn rested(state: &RunTree, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    let rested: Vec<StepRef> = given.agenda.rested().take(MOST_AT_ONCE / 2).collect();
    let rested = rested.into_iter().filter_map(|at| {
        let step = state.step(at)?;
        let input = step.input.clone()?;
        let end = if step.times_out { failed(state, at, too_long(), given) } else { Ok(succeeded(at, input)) };
        Some(end.map(|end| [Event::TimerFired(at), end]))
    });
    Ok(those_known(rested)?.into_iter().flatten().collect())
}

fn too_long() -> FlowError {
    FlowError::new(ErrorKind::Timeout, "the step took longer than its `timeout` allows")
}

/// A sub-run that will be created.
struct SubRun {
    parent: StepRef,
    control: Control,
    step_input: ValueRef,
    flow: Arc<Plan>,
    inputs: Vec<Value>,
    limit: Option<u32>,
    due_at: Option<Timestamp>,
}

impl SubRun {
    fn created(self, state: &RunTree, given: &mut Given<'_>) -> Event {
        let now = given.world.now();
        let allowed = self.flow.timeout.map(|timeout| policy::after(now, timeout));
        let run = RunId::from_uuid(in_shard_of(state.root, given.world.new_id()));
        let items = u32::try_from(self.inputs.len()).unwrap_or(u32::MAX);
        given.world.inputs(run, self.inputs);
        Event::RunCreated(Box::new(RunCreated {
            run,
            root: state.root,
            parent: Some(self.parent),
            parent_run: None,
            key: None,
            flow_id: self.flow.flow_id,
            items,
            inputs: None,
            variables: state.runs.get(&self.parent.run).and_then(|run| run.variables.clone()),
            overrides: None,
            limit: self.limit.unwrap_or(state.limit).clamp(1, state.limit.max(1)),
            deadline_at: allowed.into_iter().chain(self.due_at).min(),
            semantics: state.semantics(),
            nested: Some(Nested {
                control: self.control,
                step_input: self.step_input,
                inputs: None,
                due_at: self.due_at,
            }),
        }))
    }
}

/// The beginning of a step that runs a flow.
pub(super) fn begin(
    state: &RunTree,
    plan: &Plan,
    at: StepRef,
    control: Control,
    place: ValueRef,
    given: &mut Given<'_>,
) -> Result<Event, Missing> {
    let input = given.world.value(&place).ok_or_else(|| Missing::value(place.clone()))?;
    if state.depth(at.run) >= MAX_DEPTH {
        let chain = chain(state, at.run, Some(at), |run| plan_of(given.world, state, run).ok());
        let message = format!("sub-runs are nested more than {MAX_DEPTH} deep: {chain}");
        let error = FlowError::new(ErrorKind::OrchestratorError, message);
        return refused(state, plan, at, &place, error, given);
    }
    let first =
        || input.field(if control == Control::Eval { "input" } else { "initial_input" }).unwrap_or_else(Value::null);
    if control == Control::Iterate && max_iterations(&input) == 0 {
        return match fitting(iterated(first(), 0, true)) {
            Ok(result) => Ok(succeeded(at, ValueRef::Inline(result))),
            Err(error) => refused(state, plan, at, &place, error, given),
        };
    }
    let found = match control {
        Control::Eval => evaluated_flow(&input, given)?,
        Control::Map => document(&input, "workflow", given),
        Control::Iterate => document(&input, "flow", given),
    };
    let flow = match found {
        Ok(flow) => flow,
        Err(error) => return refused(state, plan, at, &place, error, given),
    };
    let inputs = match control {
        Control::Map => input.field("items").map(|items| items.elements()).unwrap_or_default(),
        Control::Eval | Control::Iterate => vec![first()],
    };
    if let Some(problem) = misfit(&flow, &inputs) {
        return refused(state, plan, at, &place, invalid(&problem), given);
    }
    let limit = number(&input, "max_concurrency").and_then(|limit| u32::try_from(limit).ok());
    let due_at = due_at(plan, at, given.world.now());
    Ok(SubRun { parent: at, control, step_input: place, flow, inputs, limit, due_at }.created(state, given))
}

/// The first place where an item does not fit the sub-flow's input schema.
fn misfit(flow: &Plan, inputs: &[Value]) -> Option<String> {
    inputs.iter().enumerate().find_map(|(item, input)| {
        let first = flow.check_input(input).err()?.into_iter().next()?;
        Some(format!("item {item} does not fit the sub-flow's input schema at `{}`: {}", first.pointer, first.message))
    })
}

/// What follows from sub-runs that have ended: the end of their parents, or the next round of `iterate`.
pub(super) fn returned(state: &RunTree, given: &mut Given<'_>) -> Result<Vec<Event>, Missing> {
    let runs: Vec<RunId> = given.agenda.returned().take(MOST_AT_ONCE).collect();
    those_known(runs.into_iter().filter_map(|id| follows(state, id, given).transpose()))
}

/// What follows from the end of a sub-run.
fn follows(state: &RunTree, id: RunId, given: &mut Given<'_>) -> Result<Option<Event>, Missing> {
    let Some(run) = state.runs.get(&id) else { return Ok(None) };
    let (Some(at), Some(nested)) = (run.parent, &run.nested) else { return Ok(None) };
    if let Some(Ending::StepTimedOut { cause }) = &run.ending {
        let error = cause.as_ref().map_or_else(too_long, |cause| with_cause(too_long(), cause));
        return failed(state, at, error, given).map(Some);
    }
    if run.status == ExecutionStatus::Cancelled {
        let error = FlowError::new(ErrorKind::Cancelled, format!("its sub-run `{id}` was cancelled"));
        return failed(state, at, error, given).map(Some);
    }
    let results = results(run, given)?;
    let input = given.world.value(&nested.step_input).ok_or_else(|| Missing::value(nested.step_input.clone()))?;
    let event = match nested.control {
        Control::Eval => ended(state, at, evaluated(id, &results), given)?,
        Control::Map => ended(state, at, mapped(&input, &results), given)?,
        Control::Iterate => match iteration_ended(state, run, nested, &input, results, given)? {
            Ok(event) => event,
            Err(error) => {
                let error = confidential::shown(state, at, Some(&nested.step_input), error, given)?;
                failed(state, at, error, given)?
            }
        },
    };
    Ok(Some(event))
}

fn iteration_ended(
    state: &RunTree,
    run: &Run,
    nested: &Nested,
    input: &Value,
    results: Vec<FlowResult>,
    given: &mut Given<'_>,
) -> Result<Result<Event, FlowError>, Missing> {
    let Some(at) = run.parent else { return Err(Missing(Vec::new())) };
    let iterations = state.step(at).map_or(0, |step| u64::from(step.sub_runs));
    let next = match next_iteration(input, results, iterations) {
        Ok(Iteration::Next(next)) => next,
        Ok(Iteration::Ended(result)) => return Ok(Ok(succeeded(at, ValueRef::Inline(result)))),
        Err(error) => return Ok(Err(error)),
    };
    let flow = given.world.plan(run.flow_id, None).ok_or_else(|| Missing(vec![Need::Flow(run.flow_id)]))?;
    let inputs = vec![next];
    if let Some(problem) = misfit(&flow, &inputs) {
        return Ok(Err(invalid(&problem)));
    }
    let Nested { control, step_input, due_at, .. } = nested.clone();
    let limit = Some(run.limit);
    Ok(Ok(SubRun { parent: at, control, step_input, flow, inputs, limit, due_at }.created(state, given)))
}

/// What follows from one round of `iterate`.
enum Iteration {
    /// Another one, with this input.
    Next(Value),
    /// The step's end, with this result.
    Ended(Value),
}

fn next_iteration(input: &Value, results: Vec<FlowResult>, iterations: u64) -> Result<Iteration, FlowError> {
    let value = match results.into_iter().next() {
        Some(FlowResult::Success(value)) => value,
        Some(FlowResult::Failed(error)) => return Err(error),
        None => Value::null(),
    };
    if let Some(result) = value.field("result") {
        return fitting(iterated(result, iterations, false)).map(Iteration::Ended);
    }
    let Some(next) = value.field("next") else {
        return Err(invalid("the flow of `iterate` has to return an object with `result` (the end) or `next` (go on)"));
    };
    if iterations >= max_iterations(input) {
        return fitting(iterated(next, iterations, true)).map(Iteration::Ended);
    }
    Ok(Iteration::Next(next))
}

fn max_iterations(input: &Value) -> u64 {
    number(input, "max_iterations").unwrap_or(MAX_ITERATIONS)
}

fn iterated(result: Value, iterations: u64, terminated: bool) -> Value {
    Value::object([("result", result), ("iterations", iterations.into()), ("terminated", terminated.into())])
}

/// The flow that `eval` names by its id.
fn evaluated_flow(input: &Value, given: &mut Given<'_>) -> Result<Result<Arc<Plan>, FlowError>, Missing> {
    let named = input.field("flow_id").and_then(|id| id.text()).unwrap_or_default();
    let Ok(id) = named.parse::<BlobId>() else {
        return Ok(Err(invalid(&format!("`flow_id` is `{named}`, which is not a content id of 64 hex digits"))));
    };
    if let Some(plan) = given.world.plan(id, None) {
        return Ok(Ok(plan));
    }
    match given.world.content(id) {
        Content::Unknown => Err(Missing::value(ValueRef::Blob(id))),
        Content::Absent => Ok(Err(invalid(&format!("there is no flow `{id}`")))),
        Content::Here(document) => Ok(given.world.sub_plan(&document)),
    }
}

/// The flow that is a part of the input.
fn document(input: &Value, name: &str, given: &mut Given<'_>) -> Result<Arc<Plan>, FlowError> {
    match input.field(name) {
        Some(document) => given.world.sub_plan(&document),
        None => Err(invalid(&format!("`{name}` is missing: the flow to run, as a `$literal`"))),
    }
}

/// What follows from a failure in a step of control flow: another try under its `onError`, its default, or its end. The
/// error is from the server, or is already cleaned.
fn failed(state: &RunTree, at: StepRef, error: FlowError, given: &mut Given<'_>) -> Result<Event, Missing> {
    let plan = plan_of(given.world, state, at.run)?;
    let planned = plan.steps.get(at.step as usize);
    let (Some(planned), Some(step)) = (planned, state.step(at)) else { return Ok(step_failed(at, error)) };
    let failure = policy::located(error.into(), planned, step.component_retries + 1);
    let error = failure.error.clone();
    Ok(match policy::wait_before_retry(state, at.run, planned, step.component_retries, &failure, given) {
        Some(wait) => {
            let due_at = policy::after(given.world.now(), wait);
            Event::StepRetryScheduled(StepRetryScheduled { step: at, due_at, error })
        }
        None => policy::default_of(planned).map_or_else(|| step_failed(at, error), |value| defaulted(at, value)),
    })
}

/// The ids of the steps above a run, and of one of its steps.
pub(crate) fn chain(
    state: &RunTree,
    run: RunId,
    step: Option<StepRef>,
    plan: impl Fn(RunId) -> Option<Arc<Plan>>,
) -> String {
    let above = std::iter::successors(Some(run), |run| state.runs.get(run)?.above);
    let steps = step.into_iter().chain(above.filter_map(|run| state.runs.get(&run)?.parent));
    let mut names: Vec<String> =
        steps.filter_map(|at| Some(plan(at.run)?.steps.get(at.step as usize)?.id.clone())).collect();
    names.reverse();
    names.dedup();
    names.join(" → ")
}

fn number(input: &Value, name: &str) -> Option<u64> {
    input.field(name)?.deserialize().ok()
}

fn invalid(message: &str) -> FlowError {
    FlowError::new(ErrorKind::InvalidInput, message)
}

fn ended(
    state: &RunTree,
    at: StepRef,
    result: Result<Value, FlowError>,
    given: &mut Given<'_>,
) -> Result<Event, Missing> {
    match result {
        Ok(value) => Ok(succeeded(at, ValueRef::Inline(value))),
        Err(error) => failed(state, at, error, given),
    }
}
