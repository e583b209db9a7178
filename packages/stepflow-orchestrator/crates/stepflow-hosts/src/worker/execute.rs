//! `components/execute`: the line that asks for it, and what its answer means for the attempt.

use std::io::Write as _;
use std::time::Duration;

use stepflow_engine::ports::{Answer, Failure, TaskEnvelope};
use stepflow_flow::visible::quoted;
use stepflow_protocol::{ErrorKind, FailureDetails, FlowError, RpcError, Value, rpc_error_codes};

use super::message::Body;

/// What a worker said about an execute.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The attempt ended.
    Ended(Answer),
    /// The worker is draining and has not called the component.
    NotAccepted,
    /// The worker has no room, and has not called the component.
    AtCapacity,
}

/// The line, joined by hand: the input's text is copied, and not parsed and printed again.
pub(crate) fn request_line(id: i64, task: &TaskEnvelope) -> Vec<u8> {
    let mut line = Vec::with_capacity(task.input.size() + 512);
    // Writing into memory does not fail.
    let _ = write!(line, r#"{{"jsonrpc":"2.0","id":{id},"method":"components/execute","params":{{"component":"#);
    push_string(&mut line, &task.route.component);
    line.extend_from_slice(br#","input":"#);
    line.extend_from_slice(task.input.as_bytes());
    let (task_id, attempt) = (task.task.task_id, task.task.attempt);
    let _ = write!(line, r#","attempt":{attempt},"task_id":"{task_id}","#);
    if let Some(left) = time_left(task) {
        let _ = write!(line, r#""deadline_ms":{},"#, left.as_millis());
    }
    line.extend_from_slice(br#""observability":{"#);
    if let Some((trace, span)) = task.traceparent.as_deref().and_then(trace_and_span) {
        let _ = write!(line, r#""trace_id":"{trace}","span_id":"{span}","#);
    }
    let (run, root, flow) = (task.run_id, task.root_run_id, task.flow_id);
    let _ = write!(line, r#""run_id":"{run}","root_run_id":"{root}","flow_id":"{flow}","step_id":"#);
    push_string(&mut line, &task.step_id);
    line.extend_from_slice(b"}}}\n");
    line
}

fn push_string(line: &mut Vec<u8>, text: &str) {
    line.extend_from_slice(Value::string(text).as_bytes());
}

/// The smaller of the attempt's timeout and what is left until the run's deadline.
fn time_left(task: &TaskEnvelope) -> Option<Duration> {
    let until_deadline = task
        .deadline
        .map(|deadline| Duration::try_from(deadline.duration_since(jiff::Timestamp::now())).unwrap_or(Duration::ZERO));
    match (task.timeout, until_deadline) {
        (Some(timeout), Some(left)) => Some(timeout.min(left)),
        (timeout, left) => timeout.or(left),
    }
}

/// The ids of a W3C `traceparent`: `00-<32 hex>-<16 hex>-01`.
fn trace_and_span(traceparent: &str) -> Option<(&str, &str)> {
    let mut parts = traceparent.split('-').skip(1);
    let hex = |text: &&str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((parts.next().filter(|trace| hex(trace, 32))?, parts.next().filter(|span| hex(span, 16))?))
}

/// What the answer means. `legacy` workers announced nothing: of their error numbers only COMPONENT_NOT_FOUND can be
/// relied on.
pub(crate) fn verdict(task: &TaskEnvelope, body: Body, legacy: bool) -> Verdict {
    let error = match body {
        Body::Output(output) => return Verdict::Ended(Answer::Success(output)),
        Body::Error(error) => error,
        Body::Refused(problem) => return failed(no_value(task, &problem)),
        Body::TooLong(problem) => return Verdict::Ended(Answer::Failed(too_long(task, &problem))),
        Body::Handshake(_) => return failed(worker_error(task, "its result has no `output`")),
        Body::Malformed(problem) => return failed(worker_error(task, &problem)),
    };
    let of_kind = |kind| FlowError {
        data: error.data.clone().filter(|data| !data.is_null()),
        ..FlowError::new(kind, &error.message)
    };
    match error.code {
        rpc_error_codes::COMPONENT_NOT_FOUND => failed(of_kind(ErrorKind::ComponentNotFound)),
        _ if legacy => failed(of_kind(ErrorKind::ComponentFailed)),
        rpc_error_codes::INVALID_INPUT => failed(of_kind(ErrorKind::InvalidInput)),
        rpc_error_codes::COMPONENT_FAILED => Verdict::Ended(Answer::Failed(component_failure(&error))),
        rpc_error_codes::TIMEOUT => failed(of_kind(ErrorKind::Timeout)),
        rpc_error_codes::CANCELLED => Verdict::Ended(Answer::Cancelled),
        rpc_error_codes::NOT_ACCEPTED => Verdict::NotAccepted,
        rpc_error_codes::AT_CAPACITY => Verdict::AtCapacity,
        _ => failed(of_kind(ErrorKind::WorkerError)),
    }
}

fn failed(error: FlowError) -> Verdict {
    Verdict::Ended(Answer::Failed(error.into()))
}

fn no_value(task: &TaskEnvelope, problem: &str) -> FlowError {
    let message = format!("the output of `{}` is refused: {problem}", task.route.component);
    FlowError::new(ErrorKind::ComponentFailed, message)
}

/// The failure for an answer that is too long. Another attempt would give the same answer.
fn too_long(task: &TaskEnvelope, problem: &str) -> Failure {
    let message = format!("a message to or from `{}` is too long: {problem}", task.route.component);
    Failure { retryable: Some(false), ..FlowError::new(ErrorKind::ComponentFailed, message).into() }
}

fn worker_error(task: &TaskEnvelope, problem: &str) -> FlowError {
    let plugin = &task.route.plugin;
    let message = format!(
        "the worker of plugin {plugin} answered with something that is not the protocol: {problem}",
        plugin = quoted(plugin)
    );
    FlowError::new(ErrorKind::WorkerError, message)
}

/// The component's own error, and what it says about another attempt.
fn component_failure(error: &RpcError) -> Failure {
    let data = error.data.clone().filter(|data| !data.is_null());
    // Details of another shape are passed on as they are.
    let Some(details) = data.as_ref().and_then(|data| data.deserialize::<FailureDetails>().ok()) else {
        return FlowError { data, ..FlowError::new(ErrorKind::ComponentFailed, &error.message) }.into();
    };
    let shown = [
        ("type", details.exception_type.as_deref().map(Value::string)),
        ("traceback", details.traceback.as_deref().map(Value::string)),
        ("data", details.data),
    ];
    let mut failure = FlowError::new(ErrorKind::ComponentFailed, &error.message)
        .with(shown.into_iter().filter_map(|(name, value)| Some((name, value?))));
    failure.code = details.code.unwrap_or(failure.code);
    Failure { error: failure, retryable: details.retryable, retry_after: details.retry_after.map(wait_duration) }
}

/// A duration of so many seconds; the longest one if there are too many.
fn wait_duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(if seconds > 0.0 { Duration::MAX } else { Duration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_no_clock_counts_is_the_longest_and_none_is_negative() {
        let waits = [0.5, 1e300, f64::INFINITY, -1.0, f64::NAN].map(wait_duration);
        assert_eq!(waits, [Duration::from_millis(500), Duration::MAX, Duration::MAX, Duration::ZERO, Duration::ZERO]);
    }
}
