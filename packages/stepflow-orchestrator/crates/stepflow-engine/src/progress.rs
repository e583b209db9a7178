//! The state of a step, from its run's events. Stores, the API and displays use this code.

use jiff::Timestamp;
use stepflow_protocol::StepStatus;

use crate::event::{Event, Outcome, StepRef};

/// The state of a step of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProgress {
    /// Its status.
    pub status: StepStatus,
    /// The attempts made; for control flow, its tries.
    pub attempts: u32,
    /// When its first attempt was scheduled.
    pub scheduled_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub result: Option<Outcome>,
}

/// What an event says about a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepChange<'a> {
    /// This attempt waits for a worker.
    Scheduled(u32),
    /// Control flow has begun, or continues with another sub-run. It has no attempts in the journal.
    Begun,
    /// Control flow begins again, after a wait.
    Retrying,
    /// It ended.
    Ended(&'a Outcome),
}

impl StepChange<'_> {
    /// What the event says about a step, if it is about one.
    #[must_use]
    pub fn of(event: &Event) -> Option<(StepRef, StepChange<'_>)> {
        match event {
            Event::StepScheduled(scheduled) => Some((scheduled.step, StepChange::Scheduled(scheduled.task.attempt))),
            Event::TimerStarted(timer) => Some((timer.step, StepChange::Begun)),
            // The event of a run that a worker asks for says nothing about the step that the worker has.
            Event::RunCreated(created) if created.nested.is_some() => Some((created.parent?, StepChange::Begun)),
            Event::StepRetryScheduled(retry) => Some((retry.step, StepChange::Retrying)),
            Event::StepEnded(ended) => Some((ended.step, StepChange::Ended(&ended.result))),
            Event::StepReused(reused) => Some((reused.step, StepChange::Ended(&reused.result))),
            Event::StepEndedFromOutside(ended) => Some((ended.step, StepChange::Ended(&ended.result))),
            _ => None,
        }
    }
}

impl StepProgress {
    /// A step after its first event.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self { status: StepStatus::Runnable, attempts: 0, scheduled_at: at, ended_at: None, result: None }
    }

    /// Adds an event of this time.
    pub fn apply(&mut self, change: &StepChange<'_>, at: Timestamp) {
        match change {
            StepChange::Scheduled(attempt) => (self.status, self.attempts) = (StepStatus::Runnable, *attempt),
            StepChange::Begun => {
                self.attempts += u32::from(self.status == StepStatus::Runnable);
                self.status = StepStatus::Running;
            }
            StepChange::Retrying => self.status = StepStatus::Runnable,
            StepChange::Ended(result) => {
                self.ended_at = Some(at);
                self.result = Some((*result).clone());
                self.status = match result {
                    Outcome::Success(_) => StepStatus::Completed,
                    Outcome::Failed(_) => StepStatus::Failed,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    /// A step after these events. Each is as in a journal, without its step.
    fn after(events: &[(&str, Json)]) -> StepProgress {
        let step = json!({"run": "00000000-0000-0000-0000-000000000001", "item": 0, "step": 0});
        let mut progress = StepProgress::new(Timestamp::UNIX_EPOCH);
        for (name, members) in events {
            let mut members = members.clone();
            for (key, value) in step.as_object().unwrap() {
                members[key] = value.clone();
            }
            let event: Event = serde_json::from_value(json!({*name: members})).unwrap();
            if let Some((_, change)) = StepChange::of(&event) {
                progress.apply(&change, Timestamp::UNIX_EPOCH);
            }
        }
        progress
    }

    fn sub_run(nested: bool) -> (&'static str, Json) {
        let step = json!({"run": "00000000-0000-0000-0000-000000000001", "item": 0, "step": 0});
        let id = "00000000-0000-0000-0000-000000000002";
        let flow = "0".repeat(64);
        let mut created = json!({"root": id, "parent": step, "flow_id": flow, "items": 1, "limit": 1, "semantics": 1});
        if nested {
            created["nested"] = json!({"control": "iterate", "step_input": {"inline": null}});
        }
        ("run_created", created)
    }

    fn scheduled(attempt: u32) -> (&'static str, Json) {
        let task = "00000000-0000-0000-0000-000000000003";
        let route = json!({"plugin": "p", "component": "/c"});
        let input = json!({"inline": null});
        let scheduled = json!({"task_id": task, "attempt": attempt, "component": "/c", "route": route, "input": input, "reason": "first"});
        ("step_scheduled", scheduled)
    }

    fn standing(progress: &StepProgress) -> (StepStatus, u32) {
        (progress.status, progress.attempts)
    }

    #[test]
    fn a_run_that_a_worker_asks_for_is_no_attempt_of_its_step() {
        let progress = after(&[scheduled(1), sub_run(false), scheduled(2), sub_run(false)]);
        assert_eq!(standing(&progress), (StepStatus::Runnable, 2));
    }

    #[test]
    fn control_flow_counts_its_tries_and_not_its_sub_runs() {
        let retry = (
            "step_retry_scheduled",
            json!({"due_at": "2026-01-01T00:00:00Z", "error": {"kind": "TIMEOUT", "code": 1, "message": "m"}}),
        );
        let progress = after(&[sub_run(true), sub_run(true)]);
        assert_eq!(standing(&progress), (StepStatus::Running, 1));
        let progress = after(&[sub_run(true), retry.clone()]);
        assert_eq!(standing(&progress), (StepStatus::Runnable, 1));
        let progress = after(&[sub_run(true), retry, sub_run(true)]);
        assert_eq!(standing(&progress), (StepStatus::Running, 2));
    }

    #[test]
    fn its_end_is_told_with_its_result() {
        let ended = |result: Json| ("step_ended", json!({"result": result}));
        let progress = after(&[scheduled(1), ended(json!({"success": {"row": 3}}))]);
        assert_eq!(standing(&progress), (StepStatus::Completed, 1));
        let failed = after(&[ended(json!({"failed": {"kind": "TIMEOUT", "code": 1, "message": "m"}}))]);
        assert_eq!((failed.status, failed.ended_at), (StepStatus::Failed, Some(Timestamp::UNIX_EPOCH)));
    }
}
