//! Reports why a run failed: which step, component and attempt it was, the error, and what to do.

use stepflow_flow::Plan;
use stepflow_flow::visible::{one_line, quoted};
use stepflow_protocol::{ErrorKind, FlowError};

use crate::stderr::{Paint, line};
use crate::wording::{cut, first_of};

/// How many failed items of a batch are shown.
const SHOWN: usize = 5;

/// How many characters of a message are shown; the result has all of it.
const MAX_MESSAGE: usize = 4 << 10;

/// Reports the errors of a run's failed items on stderr, each with its place among the inputs. The run has `total` items.
pub fn report(plan: &Plan, total: usize, failed: &[(u32, FlowError)]) {
    if total == 1 {
        for (_, error) in failed {
            line(describe(plan, error, ""));
        }
        return;
    }
    let groups = by_message(failed);
    line(format_args!("{} {} of {} items failed", Paint::Error.on("error:"), failed.len(), total));
    for (error, members) in groups.iter().take(SHOWN) {
        let noun = if members.len() > 1 { "items" } else { "item" };
        line(describe(plan, error, &format!("{noun} {}: ", first_of(members, SHOWN))));
    }
    if groups.len() > SHOWN {
        line(format_args!("and {} other errors", groups.len() - SHOWN));
    }
}

/// The failed items in groups with the same error, in the order of the first item of each group.
fn by_message(failed: &[(u32, FlowError)]) -> Vec<(&FlowError, Vec<u32>)> {
    let mut groups: Vec<(&FlowError, Vec<u32>)> = Vec::new();
    for (item, error) in failed {
        match groups.iter_mut().find(|(first, _)| first.kind == error.kind && first.message == error.message) {
            Some((_, members)) => members.push(*item),
            None => groups.push((error, vec![*item])),
        }
    }
    groups
}

fn describe(plan: &Plan, error: &FlowError, which: &str) -> String {
    let field = |name: &str| error.data.as_ref().and_then(|data| data.field(name)).filter(|value| !value.is_null());
    let text = |name: &str| field(name).and_then(|value| value.text().or_else(|| Some(value.to_string())));
    // The names come from a document or from a worker, and none may begin a line.
    let name = |text: String| one_line(&text).into_owned();
    let step = text("step");
    let component =
        text("component").or_else(|| Some(plan.steps.get(plan.step_index(step.as_deref()?)?)?.component.clone()));

    let subject = step.map_or_else(|| "the flow".to_owned(), |step| format!("step {}", quoted(&step)));
    let message = cut(error.message.trim(), MAX_MESSAGE);
    let mut said = format!("{} {which}{subject} failed: {message}", Paint::Error.on("error:"));
    let facts = [
        ("component", component.map(name)),
        ("attempt", text("attempt").map(name)),
        ("kind", Some(error.kind.name().to_owned())),
        ("raised", text("type").map(name)),
        ("via", field("via").map(|via| name(path_of_steps(&via)))),
        ("cause", field("cause").and_then(|cause| Some(cut(cause.field("message")?.text()?.trim(), MAX_MESSAGE)))),
    ];
    for (fact, value) in facts {
        if let Some(value) = value {
            said.push_str(&format!("\n  {} {value}", Paint::Faint.on(format_args!("{fact:<9}"))));
        }
    }
    for block in [text("traceback"), text("stderr")].into_iter().flatten() {
        said.push('\n');
        for row in block.trim_end().lines() {
            said.push_str(&format!("\n  {row}"));
        }
    }
    format!("{said}\n{} {}", Paint::Hint.on("hint:"), advice(error.kind))
}

fn path_of_steps(via: &stepflow_protocol::Value) -> String {
    let steps: Vec<String> = via.elements().iter().filter_map(|step| step.text()).collect();
    if steps.is_empty() { via.to_string() } else { steps.join(" → ") }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidInput => "compare the input that the step makes with the input that its component takes",
        ErrorKind::ExpressionFailure => "compare the path with the value that the step or the input really has",
        ErrorKind::ComponentNotFound => {
            "`routes` tells which plugin a path leads to, and `stepflow-worker --list` which components a worker has"
        }
        ErrorKind::ComponentFailed => {
            "correct the component, or give the step an `onError` with `retry` or `useDefault`"
        }
        ErrorKind::WorkerError => {
            "the worker's answer does not follow the protocol; do the versions of worker and server fit?"
        }
        ErrorKind::Timeout => "raise the `timeout` of the step, or of the flow",
        ErrorKind::Cancelled => "the run was cancelled; run it again",
        ErrorKind::Unreachable => "the worker was lost; its last output is above, and `--log-level debug` shows more",
        ErrorKind::ResourceUnavailable => "try again later, or give the step an `onError` with `retry`",
        ErrorKind::OrchestratorError => "this is an error of the server; `--log-level debug` shows more",
    }
}
