//! Compares the result of a case with the expected one.

use stepflow_engine::ItemMisfit;
use stepflow_engine::ports::StepRow;
use stepflow_flow::{Diagnostic, Level, Secrets};
use stepflow_protocol::{FlowError, FlowResult, Kind, Value};

use super::compare::{Comparison, Location, Match, matches};
use super::report::{Problem, Verdict};
use super::runner::{ItemRun, Observed};
use super::suite::{Case, Expected, Subject};

/// Whether a case passed, and if not, why.
pub fn verdict(case: &Case, observed: &Observed) -> Verdict {
    let mut comparison = Comparison::of(case);
    let secrets = case.subject.plan.as_ref().map(|plan| plan.output_secrets().clone()).unwrap_or_default();
    if let Observed::Stuck(why) = observed {
        return Verdict::Failed(Problem::Text(comparison.text(why)));
    }
    match &case.expected {
        Expected::Partial { output: None, steps: None, .. } => {
            let secrets = secrets.in_member("result");
            let shown = outcomes(observed, "result").iter().map(|value| comparison.value(value, &secrets)).collect();
            return Verdict::Failed(Problem::Unexpected(shown));
        }
        Expected::Partial { output, steps, .. } => {
            compare_output(output.as_ref(), observed, secrets, &mut comparison);
            compare_all_steps(steps.as_ref(), observed, &mut comparison);
        }
        Expected::Exact { items, batch, diagnostics } => {
            compare_exact(items, *batch, observed, &secrets, &mut comparison);
            compare_diagnostics(diagnostics.as_ref(), &case.subject, observed, &mut comparison);
        }
    }
    let found = comparison.finish();
    if found.is_empty() { Verdict::Passed } else { Verdict::Failed(Problem::Differences(found)) }
}

/// Whether the output of a flow's case is not the expected one, or is missing where nothing else is expected.
pub fn has_other_output(case: &Case, observed: &Observed) -> bool {
    match &case.expected {
        Expected::Partial { output: None, steps, .. } => steps.is_none(),
        Expected::Partial { output, .. } => {
            let mut comparison = Comparison::of(case);
            compare_output(output.as_ref(), observed, Secrets::none(), &mut comparison);
            !comparison.finish().is_empty()
        }
        Expected::Exact { .. } => false,
    }
}

/// The verdict on a case whose output is updated: what it expects of steps stays as it is.
pub fn verdict_of_updated(case: &Case, observed: &Observed) -> Verdict {
    let mut comparison = Comparison::of(case);
    if let Expected::Partial { steps, .. } = &case.expected {
        compare_all_steps(steps.as_ref(), observed, &mut comparison);
    }
    let found = comparison.finish();
    if found.is_empty() { Verdict::Updated } else { Verdict::Failed(Problem::Differences(found)) }
}

fn compare_output(output: Option<&Value>, observed: &Observed, secrets: Secrets, comparison: &mut Comparison) {
    let actual = outcomes(observed, "result");
    if let (Some(expected), Some(actual)) = (output, actual.first()) {
        let place = Location::default().hiding(&secrets.in_member("result"));
        comparison.compare(&with_kind(expected), actual, Match::Subset, &place);
        let is_rejected = |value: &Value| value.field("outcome") == Some(Value::string("rejected"));
        if let (Observed::Refused(misfits), false) = (observed, is_rejected(expected)) {
            let why: Vec<String> = misfits.iter().map(|found| found.misfit.to_string()).collect();
            comparison.add(&Location::default().field("error"), "nothing", &why.join("; "));
        }
    }
}

fn compare_all_steps(steps: Option<&Value>, observed: &Observed, comparison: &mut Comparison) {
    if let (Some(expected), Observed::Ran(items)) = (steps, observed) {
        for item in items {
            compare_steps(expected, item, &Location::default().field("expectSteps"), comparison);
        }
    }
}

fn compare_exact(items: &[Value], batch: bool, observed: &Observed, secrets: &Secrets, comparison: &mut Comparison) {
    let actual = outcomes(observed, "output");
    let outputs = secrets.clone().in_member("output");
    if items.len() != actual.len() {
        let shown = |items: &[Value]| Value::array(items.iter().map(|item| outputs.redact(item)));
        let count = |items: &[Value]| format!("{} items: {}", items.len(), shown(items));
        return comparison.add(&Location::default(), &count(items), &count(&actual));
    }
    for (index, (expected, actual)) in items.iter().zip(&actual).enumerate() {
        let place = if batch { Location::default().index(index) } else { Location::default() };
        // A case without an outcome expects only diagnostics.
        let Some(outcome) = expected.field("outcome") else { continue };
        let actual_outcome = actual.field("outcome").unwrap_or_else(Value::null);
        comparison.compare(&outcome, &actual_outcome, Match::Exact, &place.field("outcome"));
        let parts = [("output", Match::Exact, secrets), ("error", Match::Subset, &Secrets::none())];
        for (key, how, secrets) in parts {
            let (Some(expected), place) = (with_kind(expected).field(key), place.field(key).hiding(secrets)) else {
                continue;
            };
            match actual.field(key) {
                Some(actual) => comparison.compare(&expected, &actual, how, &place),
                None => comparison.add(&place, secrets.redact(&expected).as_str(), outputs.redact(actual).as_str()),
            }
        }
        let Observed::Ran(runs) = observed else { continue };
        if let Some(wanted) = expected.field("status") {
            let status = Value::from_serialize(&runs[index].status).unwrap_or_else(|_| Value::null());
            comparison.compare(&wanted, &status, Match::Exact, &place.field("status"));
        }
        if let Some(steps) = expected.field("steps") {
            compare_steps(&steps, &runs[index], &place.field("steps"), comparison);
        }
    }
}

/// The result of each item, as `FlowResult` writes it. A run that was refused has one result.
pub fn outcomes(observed: &Observed, output: &str) -> Vec<Value> {
    let outcome = |word: &str| ("outcome".to_owned(), Value::string(word));
    match observed {
        Observed::Ran(items) => items
            .iter()
            .map(|item| match &item.result {
                FlowResult::Success(value) => Value::object([outcome("success"), (output.to_owned(), value.clone())]),
                FlowResult::Failed(error) => Value::object([outcome("failed"), ("error".to_owned(), json(error))]),
            })
            .collect(),
        Observed::Refused(misfits) => {
            let error =
                [("kind", Value::string("INVALID_INPUT")), ("details", Value::array(misfits.iter().map(detail)))];
            vec![Value::object([outcome("rejected"), ("error".to_owned(), Value::object(error))])]
        }
        Observed::Invalid(_) => vec![Value::object([outcome("rejected")])],
        Observed::Stuck(_) => Vec::new(),
    }
}

fn json(error: &FlowError) -> Value {
    Value::from_serialize(error).unwrap_or_else(|_| Value::string(&error.message))
}

fn detail(misfit: &ItemMisfit) -> Value {
    let item = misfit.item.map_or_else(Value::null, |item| Value::from(item as u64));
    let text = |text: &str| Value::string(text);
    let found = &misfit.misfit;
    Value::object([
        ("item", item),
        ("path", text(&found.pointer)),
        ("expected", text(&found.expected)),
        ("found", text(&found.found)),
    ])
}

/// The expected value, with an error's `code` renamed to `kind` when it is the name of a kind, as in published tests.
fn with_kind(expected: &Value) -> Value {
    let renamed = |error: &Value| {
        Value::object(error.members().into_iter().map(|(key, value)| match (key.as_str(), value.kind()) {
            ("code", Kind::String) => ("kind".to_owned(), value),
            _ => (key, value),
        }))
    };
    Value::object(expected.members().into_iter().map(|(key, value)| match (key.as_str(), value.kind()) {
        ("error", Kind::Object) => {
            let error = renamed(&value);
            (key, error)
        }
        _ => (key, value),
    }))
}

/// Compares the steps of an item. `null` is a step that never ran.
fn compare_steps(expected: &Value, item: &ItemRun, place: &Location, comparison: &mut Comparison) {
    for (id, wanted) in expected.members() {
        let step = item.steps.iter().find(|row| row.step_id == id).map_or_else(Value::null, row);
        comparison.compare(&wanted, &step, Match::Subset, &place.field(&id));
    }
}

fn row(step: &StepRow) -> Value {
    let status = Value::from_serialize(&step.status).unwrap_or_else(|_| Value::null());
    let error = step.error().map(|error| ("error", json(error)));
    let members = [("status", status), ("attempts", Value::from(u64::from(step.attempts)))];
    Value::object(members.into_iter().chain(error))
}

/// Every expected diagnostic must be there, and there must be no other errors.
fn compare_diagnostics(expected: Option<&Value>, subject: &Subject, observed: &Observed, comparison: &mut Comparison) {
    let place = Location::default().field("diagnostics");
    let wanted = expected.map(Value::elements).unwrap_or_default();
    let mut left: Vec<&Diagnostic> = subject.diagnostics.iter().collect();
    if let Observed::Invalid(of_overrides) = observed {
        left.extend(of_overrides);
    }
    for (index, wanted) in wanted.iter().enumerate() {
        match left.iter().position(|one| fits(wanted, one)) {
            Some(place) => drop(left.remove(place)),
            None => {
                let there: Vec<String> = left.iter().map(|one| in_short(one)).collect();
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                comparison.add(&place.index(index), wanted.as_str(), &there);
            }
        }
    }
    for one in left.into_iter().filter(|one| one.level > Level::Warning) {
        comparison.add(&place, "nothing more", &format!("{} {}", in_short(one), one.message));
    }
}

fn fits(wanted: &Value, diagnostic: &Diagnostic) -> bool {
    matches(wanted, &Value::from_json(&diagnostic.to_json()), Match::Subset)
}

fn in_short(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.position.map_or_else(String::new, |at| format!(" at {}:{}", at.line, at.column));
    format!("{} {}{place}", diagnostic.code.number(), diagnostic.path)
}
