//! Journals of earlier releases, kept for ever: each must fold to the same state as when it was written.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use stepflow_engine::event::{CancelAsked, Event, ItemEnded, Outcome, OwnerChanged, Record, StepEnded, ValueRef};
use stepflow_engine::machine::{Effect, Input, ItemEnd, Machine, RunTree, outstanding};
use stepflow_protocol::RunId;
use uuid::Uuid;

use super::flows::Case;
use super::world::{Simulation, killed};

/// The folder for the newest form of the events. `conformance/journals/README.md` says when to add one.
const FORM: &str = "events-2";

fn journals() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../conformance/journals")
}

#[test]
fn golden_journals_fold_to_the_state_that_they_always_did() {
    if std::env::var_os("STEPFLOW_WRITE_JOURNALS").is_some() {
        write_all();
    }
    let mut seen = 0;
    for form in std::fs::read_dir(journals()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(form).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "jsonl") {
                let expected = std::fs::read_to_string(file.with_extension("state")).unwrap();
                assert_eq!(state_of(&std::fs::read_to_string(&file).unwrap()), expected, "{}", file.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "only {seen} golden journals");
}

fn state_of(journal: &str) -> String {
    let records: Vec<Record> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let machine = Machine::recovered(RunId::from_uuid(Uuid::from_u128(1)), &records);
    described(machine.state(), &records)
}

/// The state, one line for each part. What later releases add to it is left out, so that old files stay valid.
fn described(state: &RunTree, journal: &[Record]) -> String {
    let mut text = String::new();
    let RunTree { root, seq, epoch, limit, open, runs, .. } = state;
    let cancel_asked = state.is_cancel_asked();
    writeln!(text, "root {root} seq {seq} epoch {epoch} limit {limit} open {open} cancel asked {cancel_asked}")
        .unwrap();
    for (id, run) in runs {
        writeln!(text, "run {id} {:?} failed {} parent {:?}", run.status, run.failed, run.parent).unwrap();
        for (index, item) in run.items.iter().enumerate() {
            let end = item.end.clone().map(|end| ItemEnd { result: written_out(&end.result, journal), ..end });
            writeln!(text, "  item {index} {end:?}").unwrap();
            for (place, step) in &item.steps {
                let tries: Vec<String> = step.attempts.iter().map(|attempt| format!("{:?}", attempt.state)).collect();
                let (transport, component) = (step.transport_retries, step.component_retries);
                writeln!(text, "    step {place} {:?} attempts {tries:?}", step.phase).unwrap();
                let result = step.result.as_ref().map(|result| written_out(result, journal));
                writeln!(text, "      retries {transport} + {component}, result {result:?}").unwrap();
            }
        }
    }
    for (_, effect) in outstanding(state) {
        match effect {
            Effect::Offer { task, step, route, input, .. } => {
                let (route, input) = (format!("{route:?}"), format!("{input:?}"));
                writeln!(text, "owed Offer {{ task: {task:?}, step: {step:?}, route: {route}, input: {input} }}")
                    .unwrap();
            }
            effect => writeln!(text, "owed {effect:?}").unwrap(),
        }
    }
    text
}

/// The result in the first form of the events, where the end of a step or an item contains the value itself.
fn written_out(result: &Outcome, journal: &[Record]) -> Outcome {
    let Outcome::Success(ValueRef::Row(seq)) = result else { return result.clone() };
    match &journal.iter().find(|record| record.seq == *seq).unwrap().event {
        Event::StepEnded(StepEnded { result, .. }) | Event::ItemEnded(ItemEnded { result, .. }) => result.clone(),
        _ => result.clone(),
    }
}

fn write_all() {
    let folder = journals().join(FORM);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, simulation) in written() {
        let lines: Vec<String> = simulation.journal().map(|record| serde_json::to_string(record).unwrap()).collect();
        let journal = lines.join("\n") + "\n";
        std::fs::write(folder.join(format!("{name}.state")), state_of(&journal)).unwrap();
        std::fs::write(folder.join(format!("{name}.jsonl")), journal).unwrap();
    }
}

fn with(flow: &Json, member: &str, value: Json) -> Json {
    let mut flow = flow.clone();
    flow[member] = value;
    flow
}

/// The runs whose journals are kept. Together they contain every event that this release writes.
fn written() -> Vec<(&'static str, Simulation)> {
    let case = |steps: Json, output: Json, inputs: Vec<Json>| Case {
        flow: json!({"name": "golden", "steps": steps, "output": output}),
        inputs,
        choices: vec![0],
        limit: 3,
    };
    let retried = case(
        json!([
            {"id": "twice", "component": "/t/twice", "input": {"$input": "$.n"}, "onError": {"action": "retry"}},
            {"id": "lost", "component": "/t/lost", "input": {"$step": "twice"}},
            {"id": "fail", "component": "/t/fail", "input": 1, "onError": {"action": "useDefault", "defaultValue": 9}}]),
        json!([{"$step": "lost"}, {"$step": "fail"}]),
        vec![json!({"n": 9_007_199_254_740_993_u64}), json!({})],
    );
    let sub = json!({"name": "sub", "steps": [{"id": "w", "component": "/t/wrap", "input": {"$input": "$"}}], "output": {"$step": "w"}});
    let nested = case(
        json!([
            {"id": "nap", "component": "/t/sleep", "input": {"duration_ms": 5, "passthrough": [1, 2]}},
            {"id": "map", "component": "/t/map",
             "input": {"workflow": {"$literal": sub}, "items": {"$step": "nap", "path": "$.passthrough"}}}]),
        json!({"$step": "map"}),
        vec![json!({})],
    );
    let called = case(
        json!([
            {"id": "twice", "component": "/t/calls_twice", "input": {"$input": "$.n"}, "onError": {"action": "retry"}},
            {"id": "deep", "component": "/t/calls2", "input": {"$step": "twice"}}]),
        json!([{"$step": "twice"}, {"$step": "deep"}]),
        vec![json!({"n": 1})],
    );
    let stuck = json!({"steps": [{"id": "w", "component": "/t/stuck", "input": 1}], "output": {"$step": "w"}});
    let impatient = case(
        json!([
            {"id": "nap", "component": "/t/sleep", "timeout": "2ms", "input": {"duration_ms": 5}, "onError": {"action": "useDefault"}},
            {"id": "map", "component": "/t/map", "timeout": 60, "onError": {"action": "retry", "maxRetries": 1},
             "input": {"workflow": {"$literal": stuck}, "items": [1, 2]}}]),
        json!([{"$step": "nap"}, {"$step": "map"}]),
        vec![json!({})],
    );
    let late = case(
        json!([
            {"id": "sure", "component": "/t/stuck", "input": 1, "mustExecute": true},
            {"id": "nap", "component": "/t/sleep", "input": {"$input": "$"}}]),
        json!({"$step": "nap"}),
        vec![json!({"duration_ms": 5}); 6],
    );
    let hurried = Case { flow: with(&late.flow, "timeout", json!(60)), ..late.clone() };
    let finished = |case: &Case| {
        let mut simulation = Simulation::submitted(case);
        simulation.finish();
        simulation
    };
    let midway = |case: &Case, steps: usize| {
        let mut simulation = Simulation::submitted(case);
        simulation.advance(steps);
        simulation
    };
    let mut batch_cancelled = midway(&late, 2);
    batch_cancelled.tell(Input::CancelAsked(CancelAsked { run: None, by: "a person".into(), reason: None }));
    let mut restarted = Simulation::recovered(&late, &midway(&late, 2).appends);
    restarted.tell(Input::OwnerChanged(OwnerChanged { clean: true, started: Some(Vec::new()), ..killed(2) }));
    let mut cancelled = midway(&retried, 2);
    cancelled.tell(Input::CancelAsked(CancelAsked {
        run: None,
        by: "a person".into(),
        reason: Some("too slow".into()),
    }));
    let mut recovered = Simulation::recovered(&nested, &midway(&nested, 2).appends);
    recovered.tell(Input::OwnerChanged(killed(2)));
    let mut sub_run_cancelled = midway(&called, 1);
    let sub_run = sub_run_cancelled.machine.state().runs.keys().next_back().copied();
    sub_run_cancelled.tell(Input::CancelAsked(CancelAsked { run: sub_run, by: "a person".into(), reason: None }));
    vec![
        ("worker-sub-runs", finished(&called)),
        ("worker-sub-runs-midway", midway(&called, 12)),
        ("worker-sub-run-cancelled", sub_run_cancelled),
        ("retries", finished(&retried)),
        ("retries-midway", midway(&retried, 3)),
        ("sub-runs", finished(&nested)),
        ("sub-runs-midway", midway(&nested, 2)),
        ("timeouts-of-control-flow", finished(&impatient)),
        ("timeouts-of-control-flow-midway", midway(&impatient, 2)),
        ("cancelled", cancelled),
        ("recovered", recovered),
        ("references-midway", midway(&late, 2)),
        ("restarted-in-good-order", restarted),
        ("batch-cancelled", batch_cancelled),
        ("batch-out-of-time", finished(&hurried)),
    ]
}
