//! Folds one event into the state of a run tree. It decides nothing: `decide` has the reasons.

use std::collections::{BTreeSet, HashSet};

use stepflow_protocol::{ExecutionStatus, RunId};

use super::effect::{Effect, OwedKey};
use super::state::{Ending, Item, ItemEnd, Run, RunTree};
use super::step::{Attempt, AttemptState, Phase, Step};
use crate::event::{
    AttemptEnded, AttemptOutcome, Budget, CancelAsked, DeadlineReached, Event, ItemEnded, Outcome, OwnerChanged,
    Reason, Record, RetryScheduled, RunCreated, RunEnded, StepRef, StepRetryScheduled, StepScheduled, TaskRef,
    TimerStarted, ValueRef,
};

/// The state after this record, which follows the last one folded.
pub fn fold(state: &mut RunTree, record: &Record) {
    state.seq = record.seq;
    let key = (record.seq, 0);
    match &record.event {
        Event::RunCreated(created) => run_created(state, key, created),
        Event::StepScheduled(scheduled) => step_scheduled(state, key, scheduled),
        Event::AttemptEnded(ended) => attempt_ended(state, key, ended),
        Event::RetryScheduled(retry) => retry_scheduled(state, key, retry),
        Event::StepRetryScheduled(retry) => step_retry_scheduled(state, key, retry),
        Event::StepEnded(ended) => {
            step_ended(state, key, ended.step, kept(&ended.result, record.seq));
            if ended.defaulted || matches!(ended.result, Outcome::Failed(_)) {
                orphan(state, ended.step);
            }
        }
        Event::TimerStarted(timer) => timer_started(state, key, timer),
        Event::TimerFired(at) => timer_fired(state, *at),
        Event::ItemEnded(ended) => item_ended(state, record.seq, ended),
        Event::CancelAsked(asked) => cancel_asked(state, asked),
        Event::DeadlineReached(reached) => deadline_reached(state, reached),
        Event::RunEnded(ended) => run_ended(state, ended),
        Event::OwnerChanged(changed) => owner_changed(state, record, changed),
        Event::StepReused(reused) => step_ended(state, key, reused.step, reused.result.clone()),
        Event::StepEndedFromOutside(ended) => step_ended(state, key, ended.step, ended.result.clone()),
    }
}

fn run_created(state: &mut RunTree, key: OwedKey, created: &RunCreated) {
    if created.run == state.root {
        state.limit = created.limit;
    }
    if let Some(due_at) = created.deadline_at {
        state.owed.insert(key, Effect::Deadline { run: created.run, due_at });
    }
    let above = created.above().and_then(|above| state.runs.get(&above));
    let outlived = above.is_some_and(|above| above.unended == 0);
    let run = Run {
        flow_id: created.flow_id,
        parent: created.parent,
        above: created.above(),
        below: BTreeSet::new(),
        key: created.key.clone(),
        made_in: created.parent.and_then(|parent| state.step(parent)).map_or(0, Step::newest),
        nested: created.nested.clone(),
        limit: created.limit,
        open: 0,
        variables: created.variables.clone(),
        overrides: created.overrides.clone(),
        semantics: created.semantics,
        deadline_at: created.deadline_at,
        deadline: created.deadline_at.map(|_| key),
        status: ExecutionStatus::Running,
        ending: outlived.then_some(Ending::Outlived),
        error: None,
        items: vec![Item::default(); created.items as usize],
        unended: created.items,
        failed: false,
    };
    if let Some(above) = run.above.and_then(|above| state.runs.get_mut(&above)) {
        above.below.insert(created.run);
    }
    state.runs.insert(created.run, run);
    let Some(parent) = created.parent else { return };
    if let Some(key) = &created.key {
        state.keyed.insert((parent, key.clone()), created.run);
    }
    let Some(step) = step_mut(state, parent) else { return };
    step.runs.insert(created.run);
    step.sub_runs += 1;
    step.asked_in = step.newest();
    if let Some(nested) = &created.nested {
        step.input = Some(nested.step_input.clone());
        let before = std::mem::replace(&mut step.phase, Phase::Nested(created.run));
        settle(state, &before);
        if let Phase::Nested(previous) = before {
            forget_run(state, previous);
        }
    }
}

fn step_scheduled(state: &mut RunTree, key: OwedKey, scheduled: &StepScheduled) {
    state.tasks.insert(scheduled.task.task_id, scheduled.step);
    state.open += 1;
    if let Some(run) = state.runs.get_mut(&scheduled.step.run) {
        run.open += 1;
    }
    let effect = Effect::Offer {
        task: scheduled.task,
        step: scheduled.step,
        route: scheduled.route.clone(),
        input: scheduled.input.clone(),
        reason: scheduled.reason,
    };
    state.owed.insert(key, effect);
    let Some(step) = step_mut(state, scheduled.step) else { return };
    step.task = Some(scheduled.task.task_id);
    step.input = Some(scheduled.input.clone());
    step.attempts.push(Attempt { route: scheduled.route.clone(), state: AttemptState::Open(key) });
    let before = std::mem::replace(&mut step.phase, Phase::Open);
    settle(state, &before);
}

fn attempt_ended(state: &mut RunTree, key: OwedKey, ended: &AttemptEnded) {
    let Some(at) = state.tasks.get(&ended.task.task_id).copied() else { return };
    let Some(step) = step_mut(state, at) else { return };
    match ended.spends {
        Budget::None if ended.outcome == AttemptOutcome::Lost && step.asked_in == ended.task.attempt => {
            step.lost_afresh += 1;
        }
        Budget::None => {}
        Budget::Transport => step.transport_retries += 1,
        Budget::Component => step.component_retries += 1,
    }
    step.owners_lost = 0;
    step.suspects = ended.suspects;
    let ended_step = step.phase == Phase::Ended;
    if !ended_step {
        step.failure.clone_from(&ended.error);
    }
    let index = (ended.task.attempt as usize).wrapping_sub(1);
    let Some(attempt) = step.attempts.get_mut(index) else { return };
    let route = attempt.route.clone();
    let before = std::mem::replace(&mut attempt.state, AttemptState::Ended(ended.outcome));
    if let AttemptState::Open(owed) = before {
        state.open -= 1;
        state.owed.remove(&owed);
        if let Some(run) = state.runs.get_mut(&at.run) {
            run.open -= 1;
        }
    }
    // The worker still has the attempt that took too long.
    if ended.outcome == AttemptOutcome::Timeout {
        state.owed.insert(key, Effect::Cancel { task: ended.task, route });
    }
    // Invariant 4: an answer after the end is recorded, and changes nothing else.
    if ended_step {
        forget(state, at);
        forget_run(state, at.run);
    }
}

fn retry_scheduled(state: &mut RunTree, key: OwedKey, retry: &RetryScheduled) {
    let Some(step) = state.tasks.get(&retry.task.task_id).copied() else { return };
    let reason = match retry.budget {
        Budget::Component => Reason::ComponentRetry,
        Budget::Transport | Budget::None => Reason::TransportRetry,
    };
    state.owed.insert(key, Effect::Wake { step, due_at: retry.due_at });
    if let Some(step) = step_mut(state, step) {
        step.phase = Phase::Retrying { due_at: retry.due_at, reason, owed: Some(key) };
    }
}

fn step_retry_scheduled(state: &mut RunTree, key: OwedKey, retry: &StepRetryScheduled) {
    let Some(step) = step_mut(state, retry.step) else { return };
    step.component_retries += 1;
    step.sub_runs = 0;
    step.failure = Some(retry.error.clone());
    let phase = Phase::Retrying { due_at: retry.due_at, reason: Reason::ComponentRetry, owed: Some(key) };
    let before = std::mem::replace(&mut step.phase, phase);
    settle(state, &before);
    state.owed.insert(key, Effect::Wake { step: retry.step, due_at: retry.due_at });
    forget_runs_of(state, retry.step);
}

/// The part of a result that stays in memory. The event of this sequence contains the result.
fn kept(result: &Outcome, seq: u64) -> Outcome {
    match result {
        Outcome::Success(ValueRef::Inline(_)) => Outcome::Success(ValueRef::Row(seq)),
        result => result.clone(),
    }
}

fn step_ended(state: &mut RunTree, key: OwedKey, at: StepRef, result: Outcome) {
    let Some(step) = step_mut(state, at) else { return };
    step.result = Some(result);
    step.input = None;
    step.failure = None;
    let before = std::mem::replace(&mut step.phase, Phase::Ended);
    let mut cancelled = Vec::new();
    if let Some(task_id) = step.task {
        for (number, attempt) in (1_u32..).zip(&mut step.attempts) {
            if let AttemptState::Open(offer) = attempt.state {
                let cancel = (key.0, number);
                attempt.state = AttemptState::Open(cancel);
                let task = TaskRef { task_id, attempt: number };
                cancelled.push((offer, cancel, Effect::Cancel { task, route: attempt.route.clone() }));
            }
        }
    }
    for (offer, cancel, effect) in cancelled {
        state.owed.remove(&offer);
        state.owed.insert(cancel, effect);
    }
    settle(state, &before);
    forget(state, at);
    forget_runs_of(state, at);
}

/// The sub-runs of a step are not needed any more when it has failed or has got its default.
fn orphan(state: &mut RunTree, at: StepRef) {
    for run in state.step(at).map(|step| step.runs.clone()).unwrap_or_default() {
        end(state, run, Ending::Orphaned);
    }
}

/// The run is being ended from now on, if it was not already.
fn end(state: &mut RunTree, run: RunId, why: Ending) {
    if let Some(run) = state.runs.get_mut(&run).filter(|run| !run.status.is_terminal()) {
        run.ending.get_or_insert(why);
    }
}

fn cancel_asked(state: &mut RunTree, asked: &CancelAsked) {
    let why = Ending::Cancelled { by: asked.by.clone(), reason: asked.reason.clone() };
    end(state, asked.run.unwrap_or(state.root), why);
}

fn deadline_reached(state: &mut RunTree, reached: &DeadlineReached) {
    let of_step = || Ending::StepTimedOut { cause: reached.cause.clone() };
    end(state, reached.run, if reached.of_step { of_step() } else { Ending::TimedOut });
}

fn timer_started(state: &mut RunTree, key: OwedKey, timer: &TimerStarted) {
    state.owed.insert(key, Effect::Wake { step: timer.step, due_at: timer.due_at });
    if let Some(step) = step_mut(state, timer.step) {
        step.input = Some(timer.input.clone());
        step.times_out = timer.times_out;
        let before = std::mem::replace(&mut step.phase, Phase::Sleeping { owed: key });
        settle(state, &before);
    }
}

fn timer_fired(state: &mut RunTree, at: StepRef) {
    if let Some(step) = step_mut(state, at) {
        let before = std::mem::take(&mut step.phase);
        settle(state, &before);
    }
}

fn item_ended(state: &mut RunTree, seq: u64, ended: &ItemEnded) {
    let Some(run) = state.runs.get_mut(&ended.run) else { return };
    let Some(item) = run.items.get_mut(ended.item as usize) else { return };
    item.end = Some(ItemEnd { status: ended.status, result: kept(&ended.result, seq) });
    // Of a finished item only its result stays, and the attempts that may still be answered.
    item.steps.retain(|_, step| step.is_attempted());
    item.shrink();
    run.unended -= 1;
    run.failed |= ended.status == ExecutionStatus::Failed;
    if run.unended == 0 && !run.below.is_empty() {
        let below: Vec<RunId> = run.below.iter().copied().collect();
        below.into_iter().for_each(|run| end(state, run, Ending::Outlived));
    }
}

fn run_ended(state: &mut RunTree, ended: &RunEnded) {
    let Some(run) = state.runs.get_mut(&ended.run) else { return };
    run.status = ended.status;
    run.error.clone_from(&ended.error);
    run.failed |= ended.error.is_some() && ended.status == ExecutionStatus::Failed;
    let (above, deadline) = (run.above, run.deadline.take());
    if let Some(above) = above.and_then(|above| state.runs.get_mut(&above)) {
        above.below.remove(&ended.run);
    }
    if let Some(deadline) = deadline.filter(|deadline| state.owed.remove(deadline).is_some()) {
        state.settled.0.push(deadline.0);
    }
    forget_run(state, ended.run);
}

fn owner_changed(state: &mut RunTree, record: &Record, changed: &OwnerChanged) {
    state.epoch = changed.epoch;
    state.open = 0;
    state.runs.values_mut().for_each(|run| run.open = 0);
    let started: Option<HashSet<TaskRef>> = changed.started.as_ref().map(|started| started.iter().copied().collect());
    state.owed.retain(|_, effect| matches!(effect, Effect::Wake { .. } | Effect::Deadline { .. }));
    for step in state.runs.values_mut().flat_map(|run| &mut run.items).flat_map(|item| item.steps.values_mut()) {
        for attempt in &mut step.attempts {
            if matches!(attempt.state, AttemptState::Open(_)) {
                attempt.state = AttemptState::Displaced;
            }
        }
        if step.phase == Phase::Open {
            // Only an attempt that a worker had may have been the reason.
            let newest = step.task.map(|task_id| TaskRef { task_id, attempt: step.newest() });
            let had = |started: &HashSet<TaskRef>| newest.is_some_and(|newest| started.contains(&newest));
            step.owners_lost += u32::from(!changed.clean && started.as_ref().is_none_or(had));
            step.phase = Phase::Retrying { due_at: record.at, reason: Reason::Recovery, owed: None };
        }
    }
}

/// The step. It is made if this is its first event.
fn step_mut(state: &mut RunTree, at: StepRef) -> Option<&mut Step> {
    let item = state.runs.get_mut(&at.run)?.items.get_mut(at.item as usize)?;
    Some(item.steps.entry(at.step).or_default())
}

/// Removes the wake-up of this phase, which has ended.
fn settle(state: &mut RunTree, left: &Phase) {
    if let Phase::Retrying { owed: Some(owed), .. } | Phase::Sleeping { owed } = left {
        state.owed.remove(owed);
        state.settled.0.push(owed.0);
    }
}

/// Drops the attempts of an ended step when none of them is open, because no event can refer to them any more.
fn forget(state: &mut RunTree, at: StepRef) {
    let Some(step) = step_mut(state, at) else { return };
    if step.is_attempted() {
        return;
    }
    let task = step.task.take();
    step.attempts.clear();
    if let Some(task) = task {
        state.tasks.remove(&task);
    }
    if let Some(item) = state.runs.get_mut(&at.run).and_then(|run| run.items.get_mut(at.item as usize))
        && item.end.is_some()
    {
        item.steps.remove(&at.step);
        item.shrink();
    }
}

/// Drops the sub-runs that a step does not wait for any more.
fn forget_runs_of(state: &mut RunTree, at: StepRef) {
    let below = state.step(at).map(|step| step.runs.clone()).unwrap_or_default();
    below.into_iter().for_each(|run| forget_run(state, run));
}

/// Drops a sub-run that nothing can refer to any more: it has ended, and none of its attempts is open. The step that
/// submitted it has ended, too, so no later attempt will look for it. A sub-run of control flow is needed only by the
/// step that waits for it, and not by a later try.
fn forget_run(state: &mut RunTree, id: RunId) {
    let Some(run) = state.runs.get(&id).filter(|run| run.above.is_some()) else { return };
    let wanted = |parent| {
        state.step(parent).is_some_and(|step| match run.nested {
            Some(_) => step.phase == Phase::Nested(id),
            None => step.phase != Phase::Ended,
        })
    };
    if !run.status.is_terminal() || run.open > 0 || run.parent.is_some_and(wanted) {
        return;
    }
    let Some(Run { parent, key, .. }) = state.runs.remove(&id) else { return };
    if let Some(parent) = parent {
        let item = state.runs.get_mut(&parent.run).and_then(|run| run.items.get_mut(parent.item as usize));
        if let Some(step) = item.and_then(|item| item.steps.get_mut(&parent.step)) {
            step.runs.remove(&id);
        }
    }
    if let Some(key) = parent.zip(key)
        && state.keyed.get(&key) == Some(&id)
    {
        state.keyed.remove(&key);
    }
}
