//! Components that run flows through their worker: the run is found again by the step's next attempt.

use std::sync::Arc;

use serde_json::Value as Json;
use stepflow_flow::{Plan, Source, load};

use super::flows::sub_flow;

/// The flow that a component runs, if it does. `/calls3` runs one that calls `/calls2`, which calls `/calls`.
pub fn called(component: &str) -> Option<Json> {
    let inside = match component {
        "/calls" => "/t/lost",
        "/calls2" => "/t/calls",
        "/calls3" => "/t/calls2",
        "/calls_twice" => "/t/wrap",
        _ => return None,
    };
    Some(sub_flow(inside))
}

pub fn plan(flow: &Json) -> Arc<Plan> {
    let loaded = load(Source::json("flow.json", flow.to_string()));
    let flow = loaded.flow.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    Arc::new(Plan::compile(flow).unwrap())
}
