//! The attempts of a step, from its tree's events. All stores use this code.

use crate::event::{AttemptOutcome, Event, Record, StepRef};
use crate::ports::AttemptRow;

/// The attempts of this step, by number, from the events of its tree.
#[must_use]
pub fn attempts_of<'a>(step: StepRef, records: impl IntoIterator<Item = &'a Record>) -> Vec<AttemptRow> {
    let mut attempts: Vec<AttemptRow> = Vec::new();
    for record in records {
        match &record.event {
            Event::StepScheduled(scheduled) if scheduled.step == step => attempts.push(AttemptRow {
                task_id: scheduled.task.task_id,
                attempt: scheduled.task.attempt,
                reason: scheduled.reason,
                scheduled_at: record.at,
                worker: None,
                ended_at: None,
                outcome: None,
                error: None,
            }),
            Event::AttemptEnded(ended) => {
                let is_it =
                    |row: &&mut AttemptRow| (row.task_id, row.attempt) == (ended.task.task_id, ended.task.attempt);
                if let Some(row) = attempts.iter_mut().find(is_it) {
                    row.worker.clone_from(&ended.instance);
                    row.ended_at = Some(record.at);
                    row.outcome = Some(ended.outcome);
                    row.error.clone_from(&ended.error);
                }
            }
            // The attempts that were open with the owner before are lost. A late answer still tells how one ended.
            Event::OwnerChanged(_) => {
                for row in attempts.iter_mut().filter(|row| row.outcome.is_none()) {
                    (row.ended_at, row.outcome) = (Some(record.at), Some(AttemptOutcome::Lost));
                }
            }
            _ => {}
        }
    }
    attempts
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value as Json, json};

    use super::*;

    fn record(at: i64, event: Json) -> Record {
        let event = serde_json::from_value(event).unwrap();
        Record { seq: 1, at: Timestamp::from_second(at).unwrap(), version: 1, event }
    }

    fn scheduled(at: i64, item: u32, attempt: u32, reason: &str) -> Record {
        let (run, task) = ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000003");
        let route = json!({"plugin": "p", "component": "/c"});
        let event = json!({"run": run, "item": item, "step": 0, "task_id": task, "attempt": attempt, "component": "/c",
            "route": route, "input": {"inline": null}, "reason": reason});
        record(at, json!({"step_scheduled": event}))
    }

    fn ended(at: i64, attempt: u32, outcome: &str) -> Record {
        let task = "00000000-0000-0000-0000-000000000003";
        let event = json!({"task_id": task, "attempt": attempt, "outcome": outcome, "spends": "none",
            "instance": {"name": "w-1"}});
        record(at, json!({"attempt_ended": event}))
    }

    type Told = (u32, Option<AttemptOutcome>, Option<i64>, Option<String>);

    fn told(records: &[Record]) -> Vec<Told> {
        let run = "00000000-0000-0000-0000-000000000001";
        let step = serde_json::from_value(json!({"run": run, "item": 0, "step": 0})).unwrap();
        let rows = attempts_of(step, records).into_iter();
        let worker = |row: &AttemptRow| row.worker.as_ref().map(|worker| worker.name.clone());
        rows.map(|row| (row.attempt, row.outcome, row.ended_at.map(Timestamp::as_second), worker(&row))).collect()
    }

    #[test]
    fn each_attempt_of_the_step_tells_how_and_when_it_ended() {
        let events = [
            scheduled(1, 0, 1, "first"),
            scheduled(1, 1, 9, "first"),
            ended(2, 1, "component_error"),
            scheduled(3, 0, 2, "component_retry"),
        ];
        let failed = (1, Some(AttemptOutcome::ComponentError), Some(2), Some("w-1".to_owned()));
        assert_eq!(told(&events), [failed, (2, None, None, None)]);
    }

    #[test]
    fn what_was_open_is_lost_with_its_owner_until_its_answer_comes() {
        let mut events = vec![
            scheduled(1, 0, 1, "first"),
            record(5, json!({"owner_changed": {"epoch": 2}})),
            scheduled(5, 0, 2, "recovery"),
        ];
        assert_eq!(told(&events), [(1, Some(AttemptOutcome::Lost), Some(5), None), (2, None, None, None)]);
        events.push(ended(6, 1, "success"));
        assert_eq!(told(&events)[0], (1, Some(AttemptOutcome::Success), Some(6), Some("w-1".to_owned())));
    }
}
