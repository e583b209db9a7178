//! The machine against a naive evaluator: random flows, random orders of completion, losses and crashes anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bounds;
mod calls;
mod flows;
mod golden;
mod invariants;
mod late;
mod masked;
mod naive;
mod poison;
mod slots;
mod surroundings;
mod world;

use proptest::prelude::*;
use serde_json::json;
use stepflow_engine::event::{CancelAsked, Event, Record};
use stepflow_engine::machine::{Input, Machine, fold, outstanding};
use stepflow_protocol::Value;

use self::flows::{Case, case};
use self::world::{Simulation, killed};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_completions_gives_what_a_naive_evaluator_gives(case in case()) {
        let mut simulation = Simulation::submitted(&case);
        simulation.finish();
        invariants::check(&simulation);
        prop_assert_eq!(simulation.results(), naive::results(&case));
    }

    #[test]
    fn any_prefix_of_the_journal_goes_on_to_the_same_result(case in case(), cut in any::<prop::sample::Index>()) {
        let mut simulation = Simulation::submitted(&case);
        simulation.finish();
        let appends = simulation.appends.clone();
        let kept = &appends[..=cut.index(appends.len())];
        let mut recovered = Simulation::recovered(&case, kept);
        recovered.tell(Input::OwnerChanged(killed(1)));
        recovered.finish();
        invariants::check(&recovered);
        prop_assert_eq!(recovered.results(), naive::results(&case));
    }

    #[test]
    fn crash_after_crash_the_result_is_the_same(case in case(), cuts in prop::collection::vec(1_usize..6, 1..3)) {
        // Not three: another rule gives up a step that was open at three crashes in a row.
        let mut simulation = Simulation::submitted(&case);
        for (epoch, steps) in (1_u64..).zip(cuts) {
            simulation.advance(steps);
            let appends = simulation.appends.clone();
            simulation = Simulation::recovered(&case, &appends);
            simulation.tell(Input::OwnerChanged(killed(epoch)));
        }
        simulation.finish();
        invariants::check(&simulation);
        prop_assert_eq!(simulation.results(), naive::results(&case));
    }

    #[test]
    fn a_machine_that_is_made_again_goes_on_as_the_one_before_would(
        case in case(),
        rebuilds in prop::collection::vec(any::<bool>(), 1..12),
    ) {
        let mut simulation = Simulation::submitted(&case);
        simulation.finish_with(&rebuilds);
        invariants::check(&simulation);
        prop_assert_eq!(simulation.results(), naive::results(&case));
    }

    #[test]
    fn a_cancel_ends_everything_at_once_and_late_answers_change_nothing(case in case(), steps in 0_usize..8) {
        let mut simulation = Simulation::submitted(&case);
        simulation.advance(steps);
        let was_ended = simulation.machine.state().is_ended();
        simulation.tell(Input::CancelAsked(CancelAsked { run: None, by: "a test".into(), reason: None }));
        prop_assert!(simulation.machine.state().is_ended());
        let at_the_end = simulation.results();
        simulation.finish();
        invariants::check(&simulation);
        prop_assert_eq!(simulation.results(), at_the_end);
        let asked = simulation.journal().any(|record| matches!(record.event, Event::CancelAsked(_)));
        prop_assert_eq!(asked, !was_ended);
    }

    #[test]
    fn folding_the_journal_gives_the_live_state(case in case(), steps in 0_usize..12) {
        let mut simulation = Simulation::submitted(&case);
        simulation.advance(steps);
        // Through the text of a journal.
        let journal: Vec<String> =
            simulation.journal().map(|record| serde_json::to_string(record).unwrap()).collect();
        let journal: Vec<Record> = journal.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let folded = Machine::recovered(simulation.root, &journal);
        prop_assert_eq!(folded.state(), simulation.machine.state());
        // There is one list of effects: recovery carries out the same effects as a running driver.
        let owed: Vec<_> = outstanding(folded.state()).collect();
        let live: Vec<_> = outstanding(simulation.machine.state()).collect();
        prop_assert_eq!(owed, live);
    }
}

fn fixed(flow: serde_json::Value, input: serde_json::Value) -> Simulation {
    Simulation::submitted(&Case { flow, inputs: vec![input], choices: vec![0], limit: 100 })
}

#[test]
fn an_expression_that_only_points_is_recorded_as_a_reference() {
    let mut simulation = fixed(
        json!({"steps": [
            {"id": "a", "component": "/t/echo", "input": {"$input": "$"}},
            {"id": "nap", "component": "/t/sleep", "input": {"$step": "a"}},
            {"id": "b", "component": "/t/echo", "input": {"$step": "nap"}},
            {"id": "c", "component": "/t/fail", "input": {"$step": "b", "path": "$.duration_ms"},
             "onError": {"action": "useDefault", "defaultValue": 4}}],
            "output": {"$if": {"$step": "c"}, "then": {"$step": "c"}}}),
        json!({"duration_ms": 5}),
    );
    simulation.finish();
    invariants::check(&simulation);
    assert_eq!(simulation.results(), [naive::Outcome::Success(json!(4))]);
    let places: Vec<String> = simulation
        .journal()
        .filter_map(|record| match &record.event {
            Event::StepScheduled(scheduled) => Some(format!("{:?}", scheduled.input)),
            Event::TimerStarted(timer) => Some(format!("{:?}", timer.input)),
            Event::StepEnded(ended) if ended.step.step == 1 => Some(format!("{:?}", ended.result)),
            _ => None,
        })
        .collect();
    let item = format!("Item({:?}, 0)", simulation.root);
    assert_eq!(places, [item.as_str(), "Row(3)", "Success(Row(3))", "Row(3)", "Inline(5)"]);
    let outputs = fixed(json!({"steps": [], "output": {"$input": "$"}}), json!({"a": 1}));
    let end = outputs.machine.state().runs[&outputs.root].items[0].end.clone();
    assert_eq!(format!("{:?}", end.unwrap().result), format!("Success({item})"));
}

#[test]
fn steps_that_nothing_needs_do_not_run() {
    let mut simulation = fixed(
        json!({"steps": [
            {"id": "a", "component": "/t/echo", "input": 1},
            {"id": "b", "component": "/t/fail", "input": 2}],
            "output": {"$if": {"$input": "$.on"}, "then": {"$step": "b"}, "else": {"$step": "a"}}}),
        json!({"on": false}),
    );
    simulation.finish();
    assert_eq!(simulation.scheduled_steps(), [0]);
}

#[test]
fn a_step_that_only_the_output_turns_out_to_need_runs_late() {
    let mut simulation = fixed(
        json!({"steps": [
            {"id": "c", "component": "/t/echo", "input": true},
            {"id": "a", "component": "/t/echo", "input": "a"},
            {"id": "b", "component": "/t/echo", "input": "b"}],
            "output": {"$if": {"$step": "c"}, "then": {"$step": "a"}, "else": {"$step": "b"}}}),
        json!({}),
    );
    simulation.finish();
    assert_eq!(simulation.scheduled_steps(), [0, 1]);
    assert_eq!(simulation.results(), [naive::Outcome::Success(json!("a"))]);
}

#[test]
fn a_failed_input_carries_the_path_of_steps_that_it_came_by() {
    let mut simulation = fixed(
        json!({"steps": [
            {"id": "a", "component": "/t/fail", "input": 1},
            {"id": "b", "component": "/t/echo", "input": {"$step": "a"}, "onError": {"action": "retry"}},
            {"id": "c", "component": "/t/echo", "input": {"$step": "b"}}],
            "output": {"$step": "c"}}),
        json!({}),
    );
    simulation.finish();
    assert_eq!(simulation.error_data("via"), json!(["a", "b"]));
    assert_eq!(simulation.error_data("step"), json!("a"));
    assert_eq!(simulation.scheduled_steps(), [0]);
}

#[test]
fn a_failure_that_comes_a_long_way_names_the_newest_steps_only() {
    let step = |index: u32| {
        let input =
            if index == 0 { json!({"$input": "$.nothing"}) } else { json!({"$step": format!("s{}", index - 1)}) };
        json!({"id": format!("s{index}"), "component": "/t/echo", "input": input})
    };
    let chain = |length: u32| {
        let steps: Vec<_> = (0..length).map(step).collect();
        let last = format!("s{}", length - 1);
        let mut simulation = fixed(json!({"steps": steps, "output": {"$step": last}}), json!({}));
        simulation.finish();
        simulation
    };
    let named = |from: u32, to: u32| json!((from..to).map(|index| format!("s{index}")).collect::<Vec<_>>());
    let (short, long) = (chain(17), chain(40));
    assert_eq!((short.error_data("via"), short.error_data("viaOmitted")), (named(0, 16), json!(null)));
    assert_eq!((long.error_data("via"), long.error_data("viaOmitted")), (named(23, 39), json!(23)));
    assert_eq!(long.error_data("step"), json!("s0"));
}

#[test]
fn no_more_attempts_are_open_than_the_limit_allows_and_items_go_in_order() {
    let flow = json!({"steps": [
        {"id": "a", "component": "/t/echo", "input": {"$input": "$.n"}},
        {"id": "b", "component": "/t/echo", "input": {"$step": "a"}}],
        "output": {"$step": "b"}});
    let inputs = (0..20).map(|n| json!({"n": n})).collect();
    let mut simulation = Simulation::submitted(&Case { flow, inputs, choices: vec![0], limit: 3 });
    simulation.finish();
    invariants::check(&simulation);
    assert_eq!(simulation.most_open, 3);
    let expected: Vec<_> = (0..20).map(|n| naive::Outcome::Success(json!(n))).collect();
    assert_eq!(simulation.results(), expected);
}

#[test]
fn runs_three_levels_deep_take_turns_on_one_slot() {
    let flow = json!({"steps": [{"id": "a", "component": "/t/calls3", "input": 1}], "output": {"$step": "a"}});
    let mut simulation = Simulation::submitted(&Case { flow, inputs: vec![json!({}); 3], choices: vec![0], limit: 1 });
    simulation.finish();
    invariants::check(&simulation);
    let depth = simulation.results().iter().map(|result| format!("{result:?}").matches("got").count()).min();
    assert!(depth >= Some(5), "{:?}", simulation.results());
}

#[test]
fn cancelling_a_sub_run_leaves_the_rest_of_the_tree_alone() {
    let call = json!({"id": "a", "component": "/t/calls2", "input": 1, "onError": {"action": "useDefault", "defaultValue": 9}});
    let flow = json!({"steps": [call, {"id": "b", "component": "/t/echo", "input": 2}], "output": [{"$step": "a"}, {"$step": "b"}]});
    let mut simulation = Simulation::submitted(&Case { flow, inputs: vec![json!({})], choices: vec![0], limit: 1 });
    simulation.advance(1);
    let sub_run = *simulation.machine.state().runs.keys().nth(1).unwrap();
    simulation.tell(Input::CancelAsked(CancelAsked { run: Some(sub_run), by: "a test".into(), reason: None }));
    assert!(!simulation.machine.state().is_open(sub_run));
    simulation.finish();
    assert_eq!(simulation.results(), [naive::Outcome::Success(json!([9, 2]))]);
    let folded = Machine::recovered(simulation.root, simulation.journal());
    assert_eq!(folded.state(), simulation.machine.state());
}

#[test]
fn a_loop_keeps_its_newest_round_only() {
    let flow =
        json!({"steps": [{"id": "a", "component": "/t/echo", "input": {"$input": "$"}}], "output": {"$step": "a"}});
    let first = (0..50).fold(json!({"result": 1}), |inside, _| json!({"next": inside}));
    let input = json!({"flow": {"$literal": flow}, "initial_input": first});
    let steps = json!([{"id": "loop", "component": "/t/iterate", "input": input}]);
    let mut simulation = fixed(json!({"steps": steps, "output": {"$step": "loop", "path": "$.iterations"}}), json!({}));
    for _ in 0..40 {
        simulation.advance(1);
        assert!(simulation.machine.state().runs.len() <= 2);
    }
    simulation.finish();
    invariants::check(&simulation);
    assert_eq!(simulation.results(), [naive::Outcome::Success(json!(51))]);
}

#[test]
fn what_a_journal_says_of_overrides_is_enough_to_go_on_with_them() {
    let case = Case {
        flow: json!({"steps": [
            {"id": "a", "component": "/t/echo", "input": 1},
            {"id": "b", "component": "/t/echo", "input": {"$step": "a"}}],
            "output": {"$step": "b"}}),
        inputs: vec![json!({})],
        choices: vec![0],
        limit: 100,
    };
    let overrides =
        Value::parse(r#"{"steps":{"b":{"value":{"component":"/t/wrap","input":[{"$step":"a"}]}}}}"#).unwrap();
    let simulation = Simulation::overridden(&case, Some(overrides));
    let mut recovered = Simulation::recovered(&case, &simulation.appends);
    recovered.tell(Input::OwnerChanged(killed(1)));
    recovered.finish();
    assert_eq!(recovered.results(), [naive::Outcome::Success(json!({"got": [1]}))]);
}

#[test]
fn reserved_events_fold() {
    let case = Case {
        flow: json!({"steps": [{"id": "a", "component": "/t/echo", "input": 1}], "output": {"$step": "a"}}),
        inputs: vec![json!({})],
        choices: vec![0],
        limit: 100,
    };
    let simulation = Simulation::submitted(&case);
    let step = json!({"run": simulation.root, "item": 0, "step": 0});
    let with = |extra: serde_json::Value| {
        let mut event = step.clone();
        event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        event
    };
    let result = json!({"success": {"inline": 5}});
    for event in [
        json!({"step_reused": with(json!({"from_run": simulation.root, "result": result}))}),
        json!({"step_ended_from_outside": with(json!({"token": "t", "result": result}))}),
    ] {
        let mut state = simulation.machine.state().clone();
        let record = json!({"seq": state.seq + 1, "at": "2026-01-01T00:00:00Z", "version": 1, "event": event});
        fold(&mut state, &serde_json::from_str(&record.to_string()).unwrap());
        let at = stepflow_engine::event::StepRef { run: simulation.root, item: 0, step: 0 };
        assert!(state.step(at).unwrap().result.is_some());
    }
}
