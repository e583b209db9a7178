//! Runs of any size: every append has a limited size, every end can be divided, and the work grows only with the size
//! of the run.

use serde_json::{Value as Json, json};
use stepflow_engine::event::{CancelAsked, Event, RunEnded, TaskRef};
use stepflow_engine::machine::{Applied, Input};
use stepflow_engine::ports::Answer;
use stepflow_flow::{Source, load};
use stepflow_protocol::{ErrorKind, ExecutionStatus, Value};

use super::flows::Case;
use super::invariants;
use super::world::Simulation;

/// The most events of one append, with those of its last decision.
const MOST: usize = 2_000;

fn case(flow: Json, inputs: Vec<Json>) -> Case {
    Case { flow, inputs, choices: vec![0], limit: 1_000_000 }
}

fn cancel() -> Input {
    Input::CancelAsked(CancelAsked { run: None, by: "a test".into(), reason: None })
}

/// A flow that runs this one with two items.
fn map_of(flow: Json) -> Json {
    let input = json!({"workflow": {"$literal": flow}, "items": [1, 2]});
    json!({"steps": [{"id": "m", "component": "/t/map", "input": input}], "output": {"$step": "m"}})
}

fn echo() -> Json {
    json!({"steps": [{"id": "a", "component": "/t/echo", "input": {"$input": "$"}}], "output": {"$step": "a"}})
}

/// Lets the simulation continue until nothing is left to decide. Returns the number of appends.
fn go_on(simulation: &mut Simulation, first: Applied) -> usize {
    let (mut applied, mut appends) = (first, 1);
    while applied.more {
        assert!(applied.records.len() < MOST, "{} events in one append", applied.records.len());
        applied = simulation.tell_once(Input::Continue);
        appends += 1;
    }
    assert!(applied.missing.is_empty() && !applied.hangs);
    appends
}

fn endless() -> Vec<Case> {
    let again = |id: &str| json!({"id": id, "component": "/t/eval", "input": {"flow_id": {"$input": "$.id"}, "input": {"$input": "$"}}});
    let twice = json!({"steps": [again("a"), again("b")], "output": [{"$step": "a"}, {"$step": "b"}]});
    let id = load(Source::json("twice.json", twice.to_string())).flow.unwrap().id().to_string();
    let round = json!({"steps": [], "output": {"next": 1}});
    let input = json!({"flow": {"$literal": round}, "initial_input": 1, "max_iterations": 1_000_000_000});
    let loops =
        json!({"steps": [{"id": "loop", "component": "/t/iterate", "input": input}], "output": {"$step": "loop"}});
    vec![case(twice, vec![json!({"id": id})]), case(loops, vec![json!({})])]
}

#[test]
fn what_never_ends_lets_others_have_their_turn_and_can_be_cancelled_between_two_appends() {
    for case in endless() {
        let (mut simulation, submitted) = Simulation::about_to_be(&case, None);
        let mut applied = simulation.tell_once(submitted);
        for _ in 0..2 {
            assert!(applied.more && applied.records.len() < MOST);
            applied = simulation.tell_once(Input::Continue);
        }
        let ended = simulation.tell_once(cancel());
        go_on(&mut simulation, ended);
        assert!(simulation.machine.state().is_ended());
        invariants::check(&simulation);
    }
}

#[test]
fn the_end_of_many_items_can_be_cut_anywhere() {
    let stuck = json!({"steps": [{"id": "a", "component": "/t/stuck", "input": 1}], "output": {"$step": "a"}});
    let mut simulation = Simulation::submitted(&case(stuck, vec![json!({}); 12_000]));
    assert_eq!(simulation.machine.state().open, 12_000);
    let mut applied = simulation.tell_once(cancel());
    let mut appends = 1;
    while applied.more {
        simulation.rebuild();
        applied = simulation.tell_once(Input::Continue);
        appends += 1;
    }
    assert!(appends > 1 && simulation.machine.state().is_ended());
    invariants::check(&simulation);
}

#[test]
fn items_that_never_began_end_with_their_run_in_one_event() {
    let flow = json!({"steps": [{"id": "a", "component": "/t/stuck", "input": 1}], "output": {"$step": "a"}});
    let inputs = vec![json!({}); 100_000];
    let mut simulation = Simulation::submitted(&Case { limit: 2, ..case(flow, inputs) });
    let before = simulation.journal().count();
    let applied = simulation.tell_once(cancel());
    assert!(!applied.more);
    let events: Vec<&Event> = applied.records.iter().map(|record| &record.event).collect();
    // The request, two steps, two items and the run.
    assert_eq!(events.len(), 6);
    let Some(Event::RunEnded(RunEnded { status, error: Some(error), .. })) = events.last() else {
        panic!("{:?}", events.last());
    };
    assert_eq!((*status, error.kind), (ExecutionStatus::Cancelled, ErrorKind::Cancelled));
    assert_eq!(simulation.journal().count(), before + 6);
    assert_eq!(simulation.results().len(), 100_000);
    invariants::check(&simulation);
}

#[test]
fn a_map_whose_flow_takes_too_long_has_the_items_that_never_began_among_its_results() {
    let inside =
        json!({"timeout": 5, "steps": [{"id": "a", "component": "/t/stuck", "input": 1}], "output": {"$step": "a"}});
    let input = json!({"workflow": {"$literal": inside}, "items": [1, 2, 3], "max_concurrency": 1});
    let flow = json!({"steps": [{"id": "m", "component": "/t/map", "input": input}], "output": {"$step": "m", "path": "$.failed"}});
    let mut simulation = Simulation::submitted(&case(flow, vec![json!({})]));
    simulation.finish();
    assert_eq!(simulation.results(), [super::naive::Outcome::Success(json!(3))]);
}

/// What a run of so many items requests from its surroundings.
fn asked(flow: &Json, items: usize) -> u64 {
    let case = case(flow.clone(), vec![json!({"d": 1}); items]);
    let (mut simulation, submitted) = Simulation::about_to_be(&case, None);
    let applied = simulation.tell_once(submitted);
    go_on(&mut simulation, applied);
    simulation.asked()
}

#[test]
fn what_is_asked_of_the_surroundings_grows_with_the_items_and_no_faster() {
    let nap = json!({"id": "nap", "component": "/t/sleep", "input": {"duration_ms": 5}});
    let sleeping = json!({"steps": [nap], "output": {"$step": "nap"}});
    let input = json!({"workflow": {"$literal": sleeping}, "items": [1]});
    let nested = json!({"steps": [{"id": "m", "component": "/t/map", "input": input}], "output": {"$step": "m"}});
    for flow in [echo(), sleeping, nested] {
        let (few, many) = (asked(&flow, 300), asked(&flow, 3_000));
        assert!(many <= few * 11, "{few} for 300 items, {many} for 3 000");
    }
}

#[test]
fn the_results_of_a_map_that_are_not_in_memory_are_loaded_together() {
    const ITEMS: usize = 2_500;
    let input = json!({"workflow": {"$literal": echo()}, "items": vec![json!({"d": 1}); ITEMS]});
    let flow = json!({"steps": [{"id": "m", "component": "/t/map", "input": input}], "output": {"$step": "m", "path": "$.successful"}});
    let mut simulation = Simulation::submitted(&case(flow, vec![json!({})]));
    simulation.advance(ITEMS - 1);
    let (task, _) = simulation.machine.state().tasks.iter().next().map(|(task, at)| (*task, *at)).unwrap();
    simulation.forget();
    let mut applied = simulation.tell_once(Input::Answered(
        TaskRef { task_id: task, attempt: 1 },
        Answer::Success(Value::null()),
        None,
    ));
    let mut loads = 0;
    while !applied.missing.is_empty() {
        applied.missing.iter().for_each(|need| simulation.load(need));
        applied = simulation.tell_once(Input::Continue);
        loads += 1;
    }
    assert!(simulation.machine.state().is_ended());
    assert_eq!(simulation.results(), [super::naive::Outcome::Success(json!(ITEMS))]);
    assert!(loads <= 10, "{loads} loads");
}

#[test]
fn a_cancel_and_a_deadline_go_before_what_is_left_of_the_work_before() {
    let no_steps = case(json!({"timeout": 1, "steps": [], "output": 1}), vec![json!({}); 30_000]);
    for (parts, case) in endless().into_iter().chain([no_steps]).flat_map(|case| [(1, case.clone()), (60, case)]) {
        let (mut simulation, submitted) = Simulation::about_to_be(&case, None);
        assert!(simulation.tell_once(submitted).more);
        for _ in 0..parts {
            assert!(simulation.tell_once(Input::Continue).more);
        }
        let has_deadline = simulation.machine.state().runs[&simulation.root].deadline_at.is_some();
        let ended = if has_deadline { simulation.out_of_time() } else { simulation.tell_once(cancel()) };
        let first = &ended.records[0].event;
        assert!(matches!(first, Event::CancelAsked(_) | Event::DeadlineReached(_)), "after {parts} parts: {first:?}");
        go_on(&mut simulation, ended);
        assert!(simulation.machine.state().is_ended());
    }
}

#[test]
fn a_run_that_has_run_out_of_time_takes_those_below_it_along_the_deepest_first() {
    let stuck = json!({"steps": [{"id": "a", "component": "/t/stuck", "input": 1}], "output": {"$step": "a"}});
    let mut flow = map_of(map_of(stuck));
    flow["timeout"] = json!(5);
    let mut simulation = Simulation::submitted(&case(flow, vec![json!({})]));
    let runs: Vec<_> = simulation.machine.state().runs.keys().copied().collect();
    assert_eq!(runs.len(), 4);
    simulation.finish();
    invariants::check(&simulation);
    let ended = simulation.journal().filter_map(|record| match &record.event {
        Event::RunEnded(ended) => Some((ended.run, ended.status)),
        _ => None,
    });
    let ended: Vec<_> = ended.collect();
    assert_eq!(ended.last(), Some(&(simulation.root, ExecutionStatus::Failed)));
    assert!(ended.iter().all(|(_, status)| *status == ExecutionStatus::Failed));
    let place = |run| ended.iter().position(|(ended, _)| *ended == run).unwrap();
    // The second run is the one of the outer map. Those below it end before it.
    assert!(place(runs[2]) < place(runs[1]) && place(runs[3]) < place(runs[1]));
    assert!(matches!(&simulation.results()[0], super::naive::Outcome::Failed(kind, _) if kind == "TIMEOUT"));
}

#[test]
fn a_run_without_time_ends_before_it_begins() {
    let at_once = json!({"timeout": 0, "steps": [], "output": 1});
    let mut map = map_of(at_once.clone());
    map["output"]["path"] = json!("$.failed");
    for (flow, result) in [
        (at_once, super::naive::Outcome::Failed("TIMEOUT".into(), String::new())),
        (map, super::naive::Outcome::Success(json!(2))),
    ] {
        let simulation = Simulation::submitted(&case(flow, vec![json!({})]));
        assert!(simulation.machine.state().is_ended());
        assert_eq!(simulation.results(), [result]);
        invariants::check(&simulation);
    }
    let mut impatient = map_of(echo());
    impatient["steps"][0]["timeout"] = json!(0);
    let simulation = Simulation::submitted(&case(impatient, vec![json!({})]));
    assert_eq!(simulation.results(), [super::naive::Outcome::Failed("TIMEOUT".into(), String::new())]);
    assert_eq!(simulation.scheduled_steps(), [0_u32; 0]);
    let none = Simulation::submitted(&case(json!({"timeout": 0, "steps": [], "output": 1}), vec![]));
    assert_eq!(none.machine.state().runs[&none.root].status, ExecutionStatus::Completed);
}
