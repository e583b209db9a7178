//! Whether what came of a case is what it expects.

use stepflow_engine::ItemMisfit;
use stepflow_flow::{Diagnostic, Level, Path};
use stepflow_protocol::{FlowError, FlowResult, Kind, Value};
use stepflow_store::StepRow;

use super::bench::{ItemRun, Observed};
use super::compare::{Difference, Match, difference, differences};
use super::report::{Problem, Verdict};
use super::suite::{Case, Expected, Subject};

/// Compares.
pub fn judge(case: &Case, observed: &Observed) -> Verdict {
    if let Observed::Stuck(why) = observed {
        return Verdict::Failed(Problem::Text(why.clone()));
    }
    let mut found = Vec::new();
    match &case.expected {
        Expected::Partial { output: None, steps: None, .. } => {
            return Verdict::Failed(Problem::Unexpected(outcomes(observed, "result")));
        }
        Expected::Partial { output, steps, .. } => partial(output.as_ref(), steps.as_ref(), observed, &mut found),
        Expected::Exact { items, batch, diagnostics } => {
            exact(items, *batch, observed, &mut found);
            found.extend(diagnosed(diagnostics.as_ref(), &case.subject, observed));
        }
    }
    if found.is_empty() { Verdict::Passed } else { Verdict::Failed(Problem::Differences(found)) }
}

fn partial(output: Option<&Value>, steps: Option<&Value>, observed: &Observed, found: &mut Vec<Difference>) {
    let actual = outcomes(observed, "result");
    if let (Some(expected), Some(actual)) = (output, actual.first()) {
        differences(&with_kind(expected), actual, Match::Subset, &Path::root(), found);
    }
    if let (Some(expected), Observed::Ran(items)) = (steps, observed) {
        for item in items {
            compare_steps(expected, item, &Path::root().field("expectSteps"), found);
        }
    }
}

fn exact(items: &[Value], batch: bool, observed: &Observed, found: &mut Vec<Difference>) {
    let actual = outcomes(observed, "output");
    if items.len() != actual.len() {
        let count = |items: &[Value]| format!("{} items: {}", items.len(), Value::array(items.iter().cloned()));
        return found.push(difference(&Path::root(), count(items), count(&actual)));
    }
    for (index, (expected, actual)) in items.iter().zip(&actual).enumerate() {
        let path = if batch { Path::root().index(index) } else { Path::root() };
        // A case that expects nothing but diagnostics says so by leaving the outcome out.
        let Some(outcome) = expected.field("outcome") else { continue };
        let actual_outcome = actual.field("outcome").unwrap_or_else(Value::null);
        differences(&outcome, &actual_outcome, Match::Exact, &path.clone().field("outcome"), found);
        for (key, how) in [("output", Match::Exact), ("error", Match::Subset)] {
            let (Some(expected), path) = (with_kind(expected).field(key), path.clone().field(key)) else { continue };
            match actual.field(key) {
                Some(actual) => differences(&expected, &actual, how, &path, found),
                None => found.push(difference(&path, expected.to_string(), actual.to_string())),
            }
        }
        let Observed::Ran(runs) = observed else { continue };
        if let Some(wanted) = expected.field("status") {
            let status = Value::from_serialize(&runs[index].status).unwrap_or_else(|_| Value::null());
            differences(&wanted, &status, Match::Exact, &path.clone().field("status"), found);
        }
        if let Some(steps) = expected.field("steps") {
            compare_steps(&steps, &runs[index], &path.field("steps"), found);
        }
    }
}

/// What came of each item, in the words of a FlowResult. A run that was refused is one thing.
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

/// The expected error's `code` may be the name of a kind, as published tests write it.
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

/// `null` stands for a step that never ran.
fn compare_steps(expected: &Value, item: &ItemRun, path: &Path, found: &mut Vec<Difference>) {
    for (id, wanted) in expected.members() {
        let step = item.steps.iter().find(|row| row.step_id == id).map_or_else(Value::null, row);
        differences(&wanted, &step, Match::Subset, &path.clone().field(id), found);
    }
}

fn row(step: &StepRow) -> Value {
    let status = Value::from_serialize(&step.status).unwrap_or_else(|_| Value::null());
    let error = step.error.as_ref().map(|error| ("error", json(error)));
    let members = [("status", status), ("attempts", Value::from(u64::from(step.attempts)))];
    Value::object(members.into_iter().chain(error))
}

/// Every expected diagnostic has to be there, and no other that is more than a warning.
fn diagnosed(expected: Option<&Value>, subject: &Subject, observed: &Observed) -> Vec<Difference> {
    let wanted = expected.map(Value::elements).unwrap_or_default();
    let mut left: Vec<&Diagnostic> = subject.diagnostics.iter().collect();
    if let Observed::Invalid(of_overrides) = observed {
        left.extend(of_overrides);
    }
    let mut found = Vec::new();
    for (index, wanted) in wanted.iter().enumerate() {
        match left.iter().position(|one| is(wanted, one)) {
            Some(place) => drop(left.remove(place)),
            None => {
                let path = Path::root().field("diagnostics").index(index);
                let there: Vec<String> = left.iter().map(|one| brief(one)).collect();
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                found.push(difference(&path, wanted.to_string(), there));
            }
        }
    }
    let unexpected = left.into_iter().filter(|one| one.level > Level::Warning);
    let path = Path::root().field("diagnostics");
    found.extend(
        unexpected.map(|one| difference(&path, "nothing more".to_owned(), format!("{} {}", brief(one), one.message))),
    );
    found
}

fn is(wanted: &Value, diagnostic: &Diagnostic) -> bool {
    let mut into = Vec::new();
    let actual = Value::from_json(&diagnostic.to_json());
    differences(wanted, &actual, Match::Subset, &Path::root(), &mut into);
    into.is_empty()
}

fn brief(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.position.map_or_else(String::new, |at| format!(" at {}:{}", at.line, at.column));
    format!("{} {}{place}", diagnostic.code.number(), diagnostic.path)
}
