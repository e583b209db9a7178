//! The results of steps of control flow, made from those of their sub-runs.

use stepflow_flow::MAX_BUILT;
use stepflow_protocol::{ErrorKind, FlowError, FlowResult, RunId, Value};

use super::given::Given;
use super::state::Run;
use super::surroundings::{MOST_MISSING, Missing, Need};
use crate::event::Outcome;
use crate::ports::forbids_retry;

/// The results of a run that has ended.
pub(super) fn results(run: &Run, given: &Given<'_>) -> Result<Vec<FlowResult>, Missing> {
    let unbegun = run.error.clone().map(Outcome::Failed);
    let ends = run.items.iter().filter_map(|item| item.end.as_ref().map(|end| &end.result).or(unbegun.as_ref()));
    let (mut results, mut missing) = (Vec::with_capacity(run.items.len()), Vec::new());
    for result in ends {
        match result {
            Outcome::Failed(error) => results.push(FlowResult::Failed(error.clone())),
            Outcome::Success(place) => match given.world.value(place) {
                Some(value) => results.push(FlowResult::Success(value)),
                None => missing.push(Need::Value(place.clone())),
            },
        }
        if missing.len() >= MOST_MISSING {
            break;
        }
    }
    if missing.is_empty() { Ok(results) } else { Err(Missing(missing)) }
}

pub(super) fn evaluated(run: RunId, results: &[FlowResult]) -> Result<Value, FlowError> {
    let result = results.first().map_or_else(|| Ok(Value::null()), written)?;
    fitting(Value::object([("result", result), ("run_id", Value::string(&run.to_string()))]))
}

pub(super) fn mapped(input: &Value, results: &[FlowResult]) -> Result<Value, FlowError> {
    let fails = input.field("on_item_error").and_then(|choice| choice.text()).as_deref() == Some("fail");
    if let Some(error) = decisive(results).filter(|_| fails) {
        return Err(error.clone());
    }
    // Decided before it is made: a flow that doubles its results would use up all memory.
    let size: usize = results.iter().map(size_of_result).sum();
    if size > MAX_BUILT {
        let (count, most) = (results.len(), MAX_BUILT >> 20);
        let message =
            format!("the {count} results have {size} bytes, and a flow may build {most} MiB: keep them in blobs");
        return Err(FlowError::new(ErrorKind::ExpressionFailure, message));
    }
    let successful = results.iter().filter(|result| matches!(result, FlowResult::Success(_))).count();
    let members = [
        ("results", Value::array(results.iter().map(written).collect::<Result<Vec<_>, _>>()?)),
        ("successful", Value::from(successful as u64)),
        ("failed", Value::from((results.len() - successful) as u64)),
    ];
    fitting(Value::object(members))
}

fn size_of_result(result: &FlowResult) -> usize {
    match result {
        FlowResult::Success(value) => value.size(),
        FlowResult::Failed(error) => error.message.len() + error.data.as_ref().map_or(0, Value::size),
    }
}

/// The failure that a `map` fails with: the first that forbids another try, else the first.
fn decisive(results: &[FlowResult]) -> Option<&FlowError> {
    let mut errors = results.iter().filter_map(|result| match result {
        FlowResult::Failed(error) => Some(error),
        FlowResult::Success(_) => None,
    });
    errors.clone().find(|error| forbids_retry(error)).or_else(|| errors.next())
}

fn written(result: &FlowResult) -> Result<Value, FlowError> {
    match result {
        FlowResult::Success(value) => {
            Ok(Value::object([("outcome", Value::string("success")), ("result", value.clone())]))
        }
        FlowResult::Failed(_) => Value::from_serialize(result).map_err(|_| too_deep()),
    }
}

/// The results and what is put around them must not be nested deeper than a value may be.
pub(super) fn fitting(result: Value) -> Result<Value, FlowError> {
    if result.depth() <= stepflow_protocol::MAX_DEPTH { Ok(result) } else { Err(too_deep()) }
}

fn too_deep() -> FlowError {
    let most = stepflow_protocol::MAX_DEPTH;
    let message = format!("the result of the step would be nested more than {most} deep, with what its sub-flow gave");
    FlowError::new(ErrorKind::ExpressionFailure, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_are_too_large_together_are_not_put_into_one_value() {
        let large = FlowResult::Success(Value::string(&"x".repeat(MAX_BUILT / 4)));
        let failed = FlowResult::Failed(FlowError::new(ErrorKind::ComponentFailed, "no"));
        assert!(mapped(&Value::null(), &[large.clone(), large.clone(), large.clone(), failed.clone()]).is_ok());
        let error = mapped(&Value::null(), &[large.clone(), large.clone(), large.clone(), large, failed]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ExpressionFailure);
        assert_eq!(error.message, "the 5 results have 67108874 bytes, and a flow may build 64 MiB: keep them in blobs");
    }
}
