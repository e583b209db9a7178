//! Requests for runs whose askers have ended meanwhile.

use serde_json::json;
use stepflow_engine::event::{CancelAsked, Event, RunCreated};
use stepflow_engine::machine::Input;
use stepflow_protocol::{RunId, Value};
use uuid::Uuid;

use super::flows::Case;
use super::world::Simulation;

#[test]
fn no_run_is_made_below_one_that_has_ended_while_the_request_waited() {
    let step = json!({"id": "a", "component": "/t/echo", "input": 1});
    let flow = json!({"steps": [step], "output": {"$step": "a"}});
    let case = Case { flow, inputs: vec![json!({})], choices: vec![0], limit: 1 };
    let mut simulation = Simulation::submitted(&case);
    let first = simulation.appends.iter().flat_map(|append| &append.records).find_map(|record| match &record.event {
        Event::RunCreated(created) => Some(created.clone()),
        _ => None,
    });
    let run = RunId::from_uuid(Uuid::from_u128(77));
    let created = RunCreated { run, parent_run: Some(simulation.root), ..*first.unwrap() };
    simulation.tell(Input::CancelAsked(CancelAsked { run: None, by: "me".into(), reason: None }));

    assert!(simulation.machine.state().is_ended());
    simulation.tell(Input::Submitted(Box::new(created), vec![Value::null()]));
    assert!(!simulation.machine.state().runs.contains_key(&run));
}
