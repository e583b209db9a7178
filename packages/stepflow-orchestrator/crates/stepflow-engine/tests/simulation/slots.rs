//! Attempts that wait for runs give up their slots, and go on when there are slots for them.

use serde_json::json;
use stepflow_engine::event::{CancelAsked, OwnerChanged, StepRef, TaskRef};
use stepflow_engine::machine::Input;
use stepflow_engine::ports::Answer;
use stepflow_protocol::Value;

use super::flows::Case;
use super::world::Simulation;

/// Five items, two slots: four attempts wait for runs, and the last one is at work.
fn four_wait() -> (Simulation, Vec<TaskRef>) {
    let flow = json!({"steps": [{"id": "a", "component": "/t/stuck", "input": 1}], "output": {"$step": "a"}});
    let mut simulation = Simulation::submitted(&Case { flow, inputs: vec![json!({}); 5], choices: vec![0], limit: 2 });
    for item in 0..4 {
        let task = attempt(&simulation, item);
        simulation.machine.waits(task);
        simulation.tell_once(Input::Continue);
    }
    let tasks = (0..5).map(|item| attempt(&simulation, item)).collect();
    (simulation, tasks)
}

fn attempt(simulation: &Simulation, item: u32) -> TaskRef {
    let step = simulation.machine.state().step(StepRef { run: simulation.root, item, step: 0 }).unwrap();
    TaskRef { task_id: step.task.unwrap(), attempt: step.newest() }
}

fn succeed(simulation: &mut Simulation, task: TaskRef) {
    simulation.tell_once(Input::Answered(task, Answer::Success(Value::null()), None));
}

#[test]
fn attempts_that_have_waited_go_on_in_turn_when_there_are_slots() {
    let (mut simulation, tasks) = four_wait();
    for task in &tasks[..4] {
        simulation.machine.waits_no_more(*task);
    }
    assert_eq!(simulation.machine.take_let_back(), [tasks[0]]);
    for (ended, next) in [(4, 1), (0, 2), (2, 3)] {
        succeed(&mut simulation, tasks[ended]);
        assert_eq!(simulation.machine.take_let_back(), [tasks[next]]);
    }
    assert_eq!(simulation.machine.waiting().total(), 0);
}

#[test]
fn they_go_on_before_attempts_that_have_not_begun() {
    let flow = json!({"steps": [{"id": "a", "component": "/t/stuck", "input": 1}], "output": {"$step": "a"}});
    let mut simulation = Simulation::submitted(&Case { flow, inputs: vec![json!({}); 3], choices: vec![0], limit: 1 });
    let first = attempt(&simulation, 0);
    simulation.machine.waits(first);
    simulation.tell_once(Input::Continue);
    simulation.machine.waits_no_more(first);
    assert!(simulation.machine.take_let_back().is_empty());
    let second = attempt(&simulation, 1);
    succeed(&mut simulation, second);
    assert_eq!(simulation.machine.take_let_back(), [first]);
    assert_eq!(simulation.scheduled_steps().len(), 2, "the third item waits");
}

#[test]
fn one_that_waits_for_another_run_needs_no_slot() {
    let (mut simulation, tasks) = four_wait();
    simulation.machine.waits_no_more(tasks[0]);
    simulation.machine.waits_no_more(tasks[1]);
    assert_eq!(simulation.machine.take_let_back(), [tasks[0]]);
    simulation.machine.waits(tasks[1]);
    simulation.tell_once(Input::Continue);
    assert_eq!(simulation.machine.take_let_back(), [tasks[1]]);
    assert_eq!(simulation.machine.waiting().total(), 3);
    // Of two runs, the end of the first does not count.
    simulation.machine.waits(tasks[1]);
    simulation.machine.waits_less(tasks[1]);
    assert_eq!(simulation.machine.waiting().total(), 3);
    assert!(simulation.machine.take_let_back().is_empty());
}

#[test]
fn those_of_a_run_that_is_cancelled_or_has_a_new_owner_need_no_slot() {
    let cancel = Input::CancelAsked(CancelAsked { run: None, by: "a test".into(), reason: None });
    let owner = Input::OwnerChanged(OwnerChanged { epoch: 2, clean: true, started: None });
    for input in [cancel, owner] {
        let (mut simulation, tasks) = four_wait();
        for task in &tasks[..3] {
            simulation.machine.waits_no_more(*task);
        }
        assert_eq!(simulation.machine.take_let_back(), [tasks[0]]);
        simulation.tell_once(input);
        assert_eq!(simulation.machine.take_let_back(), tasks[1..3]);
    }
}

#[test]
fn one_that_has_ended_is_not_waited_for() {
    let (mut simulation, tasks) = four_wait();
    for task in &tasks[..3] {
        simulation.machine.waits_no_more(*task);
    }
    assert_eq!(simulation.machine.take_let_back(), [tasks[0]]);
    simulation.tell_once(Input::Answered(tasks[1], Answer::Cancelled, None));
    succeed(&mut simulation, tasks[0]);
    assert_eq!(simulation.machine.take_let_back(), [tasks[2]]);
    // An attempt that does not wait has nothing to come back from.
    simulation.machine.waits_no_more(tasks[4]);
    assert_eq!(simulation.machine.take_let_back(), [tasks[4]]);
}
