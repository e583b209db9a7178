//! If a worker had a step each time that the server died, the step is given up. Other steps are not.

use serde_json::json;
use stepflow_engine::event::{OwnerChanged, StepRef, TaskRef};
use stepflow_engine::machine::Input;
use stepflow_engine::ports::Answer;
use stepflow_protocol::{ErrorKind, FlowError};

use super::flows::Case;
use super::naive::Outcome;
use super::world::{Simulation, killed};

fn case() -> Case {
    let step = json!({"id": "a", "component": "/t/echo", "input": 1, "onError": {"action": "retry", "maxRetries": 1}});
    let flow = json!({"steps": [step], "output": {"$step": "a"}});
    Case { flow, inputs: vec![json!({})], choices: vec![0], limit: 1 }
}

/// The open attempt of the step.
fn attempt(simulation: &Simulation) -> TaskRef {
    let step = simulation.machine.state().step(StepRef { run: simulation.root, item: 0, step: 0 }).unwrap();
    TaskRef { task_id: step.task.unwrap(), attempt: step.newest() }
}

/// The next owner, after an end in which workers had these attempts.
fn next(simulation: &Simulation, clean: bool, started: Vec<TaskRef>) -> OwnerChanged {
    OwnerChanged { clean, started: Some(started), ..killed(simulation.machine.state().epoch + 1) }
}

fn after(changes: impl Iterator<Item = fn(&Simulation) -> OwnerChanged>) -> Simulation {
    let mut simulation = Simulation::submitted(&case());
    for change in changes {
        let appends = simulation.appends.clone();
        simulation = Simulation::recovered(&case(), &appends);
        let changed = change(&simulation);
        simulation.tell(Input::OwnerChanged(changed));
    }
    simulation
}

const HAD: fn(&Simulation) -> OwnerChanged = |simulation| next(simulation, false, vec![attempt(simulation)]);
const WAITED: fn(&Simulation) -> OwnerChanged = |simulation| next(simulation, false, Vec::new());
const IN_GOOD_ORDER: fn(&Simulation) -> OwnerChanged = |simulation| next(simulation, true, vec![attempt(simulation)]);

fn given_up(mut simulation: Simulation) -> bool {
    simulation.finish();
    match &simulation.results()[0] {
        Outcome::Failed(kind, _) => kind == "ORCHESTRATOR_ERROR",
        Outcome::Success(_) => false,
    }
}

#[test]
fn a_step_that_a_worker_had_in_three_crashes_is_given_up() {
    assert!(!given_up(after([HAD; 2].into_iter())));
    assert!(given_up(after([HAD; 3].into_iter())));
}

#[test]
fn a_step_that_only_waited_or_lived_through_restarts_in_good_order_is_not() {
    assert!(!given_up(after([WAITED; 10].into_iter())));
    assert!(!given_up(after([IN_GOOD_ORDER; 10].into_iter())));
    assert!(!given_up(after([HAD, WAITED, IN_GOOD_ORDER, HAD].into_iter())));
}

#[test]
fn another_attempt_than_the_newest_says_nothing_about_the_step() {
    let older: fn(&Simulation) -> OwnerChanged = |simulation| {
        let newest = attempt(simulation);
        next(simulation, false, vec![TaskRef { attempt: newest.attempt - 1, ..newest }])
    };
    assert!(!given_up(after([HAD, HAD, older].into_iter())));
}

#[test]
fn an_answer_starts_the_count_again() {
    let mut simulation = after([HAD; 2].into_iter());
    let failed = FlowError::new(ErrorKind::ComponentFailed, "no");
    simulation.tell(Input::Answered(attempt(&simulation), Answer::Failed(failed.into()), None));
    simulation.advance(2);
    let state = simulation.machine.state();
    assert_eq!(state.step(StepRef { run: simulation.root, item: 0, step: 0 }).map_or(0, |step| step.owners_lost), 0);
}

#[test]
fn an_event_of_the_first_release_means_every_open_attempt() {
    assert!(given_up(after(
        [|simulation: &Simulation| killed(simulation.machine.state().epoch + 1); 3]
            .into_iter()
            .map(|change| change as fn(&Simulation) -> OwnerChanged)
    )));
}

#[test]
fn with_no_bound_a_step_is_never_given_up() {
    let mut simulation = Simulation::submitted(&case());
    for _ in 0..10 {
        let appends = simulation.appends.clone();
        simulation = Simulation::recovered(&case(), &appends);
        simulation.rules().max_server_crashes = 0;
        let changed = HAD(&simulation);
        simulation.tell(Input::OwnerChanged(changed));
    }
    assert!(!given_up(simulation));
}
