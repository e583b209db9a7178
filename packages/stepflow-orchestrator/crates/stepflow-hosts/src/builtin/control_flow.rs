//! Builtins that are control flow: described and checked here, carried out by the engine.

use serde_json::{Value as Json, json};
use stepflow_engine::event::Control;
use stepflow_engine::ports::Target;
use stepflow_protocol::{ComponentInfo, ErrorKind, FlowError, Value};

/// What the engine does at this path, if it is control flow.
pub(super) fn target(path: &str) -> Option<Target> {
    match path {
        "/eval" => Some(Target::SubFlow(Control::Eval)),
        "/map" => Some(Target::SubFlow(Control::Map)),
        "/iterate" => Some(Target::SubFlow(Control::Iterate)),
        "/sleep" => Some(Target::Timer),
        _ => None,
    }
}

/// Refuses `code` for `/eval`, because people expect that `/eval` runs code. The schema's error would only say that the
/// member is unknown.
///
/// # Errors
/// INVALID_INPUT with the path that runs code.
pub(super) fn refuse_code(path: &str, input: &Value) -> Result<(), FlowError> {
    if path != "/eval" || input.field("code").is_none() {
        return Ok(());
    }
    let message = "`/eval` runs a flow by its `flow_id` and takes no `code`: `/python/udf` of a worker with `--udf` runs Python code";
    Err(FlowError::new(ErrorKind::InvalidInput, message).with([("nearest", Value::string("/python/udf"))]))
}

/// The descriptions, for lists and for the check of inputs.
pub(super) fn infos() -> [ComponentInfo; 4] {
    let flow = json!({"type": "object", "description": "A flow document, as a `$literal`"});
    let limit =
        json!({"type": "integer", "minimum": 1, "description": "How many attempts of the sub-run may be open at once"});
    let result = json!({"type": "object", "description": "A FlowResult: `outcome` with `result` or `error`"});
    let results = json!({"results": {"type": "array", "items": result}, "successful": {"type": "integer"}, "failed": {"type": "integer"}});
    [
        info(
            "/eval",
            "Runs the flow of an id once. Succeeds also when the flow fails: its result says so.",
            json!({"flow_id": {"type": "string"}, "input": {}}),
            &["flow_id", "input"],
            json!({"result": result, "run_id": {"type": "string"}}),
        ),
        info(
            "/map",
            "Runs a flow for each of many items, in parallel, and collects their results in order.",
            json!({"workflow": flow, "items": {"type": "array"}, "max_concurrency": limit, "on_item_error": {"enum": ["collect", "fail"]}}),
            &["workflow", "items"],
            results,
        ),
        info(
            "/iterate",
            "Runs a flow on its own output, while that has `next`, until it has `result`.",
            json!({"flow": flow, "initial_input": {}, "max_iterations": {"type": "integer", "minimum": 0}}),
            &["flow", "initial_input"],
            json!({"result": {}, "iterations": {"type": "integer"}, "terminated": {"type": "boolean"}}),
        ),
        info(
            "/sleep",
            "Waits, then returns its input.",
            json!({"duration_ms": {"type": "integer", "minimum": 0}, "passthrough": {}}),
            &["duration_ms"],
            json!({"duration_ms": {"type": "integer"}, "passthrough": {}}),
        ),
    ]
}

fn info(path: &str, description: &str, input: Json, required: &[&str], output: Json) -> ComponentInfo {
    let object = |properties: Json| Value::from_json(&json!({"type": "object", "properties": properties}));
    ComponentInfo {
        component: path.to_owned(),
        description: Some(description.to_owned()),
        input_schema: Some(Value::from_json(&json!({"type": "object", "properties": input, "required": required}))),
        output_schema: Some(object(output)),
    }
}
