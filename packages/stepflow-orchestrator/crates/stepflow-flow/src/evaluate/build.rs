//! Builds the value of an expression whose steps are finished.

use std::cell::Cell;
use std::collections::BTreeSet;

use stepflow_protocol::{ErrorKind, FlowError, Kind, MAX_DEPTH, Segment, Value};

use super::{Choice, Expr, ExprNode, Found, Place, Scope, StepIndex, StepState, VariableRef};
use crate::path::Path;

/// The largest value that is built from others, in bytes of JSON. A flow that doubles a value in each step would otherwise
/// use up all memory, and other runs would wait while such a value is made.
pub const MAX_BUILT: usize = 64 << 20;

/// The most bytes that one expression copies. Each array and each object copies what is in it.
const MOST_COPIED: usize = 4 * MAX_BUILT;

pub(super) enum Built {
    Value(Value),
    Failed { error: FlowError, step: Option<StepIndex> },
    Missing(BTreeSet<Place>),
}

/// The evaluation of one expression.
struct Building<'s> {
    scope: &'s dyn Scope,
    /// How many bytes its arrays and objects have copied.
    copied: Cell<usize>,
}

pub(super) fn build(expr: &Expr, scope: &dyn Scope) -> Built {
    build_in(expr, &Building { scope, copied: Cell::new(0) })
}

fn build_in(expr: &Expr, building: &Building<'_>) -> Built {
    match &expr.0 {
        ExprNode::Literal(value) => Built::Value(value.clone()),
        ExprNode::Input(path) => match building.scope.input() {
            Found::Here(input) => look(&input, path, "the input"),
            Found::Away => away(Place::Input),
        },
        ExprNode::Step { step, id, path } => build_step(*step, id, path, building),
        ExprNode::Variable(variable) => build_variable(variable, building),
        ExprNode::If(choice) => build_choice(choice, building),
        ExprNode::Coalesce(items) => build_coalesce(items, building),
        ExprNode::Array(items) => {
            gather(items.iter(), building).map_or_else(|stop| stop, |values| Built::Value(Value::array(values)))
        }
        ExprNode::Object(members) => gather(members.iter().map(|(_, member)| member), building).map_or_else(
            |stop| stop,
            |values| Built::Value(Value::object(members.iter().map(|(key, _)| key).zip(values))),
        ),
    }
}

/// The error when a value that is built from others is nested too deep. Names the part that is.
pub(super) fn too_deep(expr: &Expr, value: &Value) -> Option<FlowError> {
    if !matches!(expr.0, ExprNode::Array(_) | ExprNode::Object(_) | ExprNode::If(_) | ExprNode::Coalesce(_))
        || fits(value, 0)
    {
        return None;
    }
    let mut place = Path::root();
    let mut part = (expr, value.clone());
    for outer in 1.. {
        let (next, inner) = match &part.0.0 {
            ExprNode::Object(members) => {
                let found = members.iter().zip(part.1.members()).find(|(_, (_, member))| !fits(member, outer));
                let Some(((_, next), (name, inner))) = found else { break };
                place = place.field(&name);
                (next, inner)
            }
            ExprNode::Array(items) => {
                let elements = items.iter().zip(part.1.elements());
                let Some((index, (next, inner))) = elements.enumerate().find(|(_, (_, one))| !fits(one, outer)) else {
                    break;
                };
                place = place.index(index);
                (next, inner)
            }
            _ => break,
        };
        part = (next, inner);
    }
    let message = format!("the value would be nested more than {MAX_DEPTH} deep, at `{place}`");
    Some(FlowError::new(ErrorKind::ExpressionFailure, message))
}

/// Whether a value may be inside this many arrays and objects.
fn fits(value: &Value, outer: usize) -> bool {
    value.depth() + outer <= MAX_DEPTH
}

/// Whether a condition holds: it does not for `null`, `false` and a failure. The places to load when it is not known
/// yet.
pub(super) fn condition(expr: &Expr, scope: &dyn Scope) -> Result<bool, BTreeSet<Place>> {
    holds(build(expr, scope))
}

fn holds(condition: Built) -> Result<bool, BTreeSet<Place>> {
    match condition {
        Built::Value(value) => Ok(!value.is_null() && value.as_bool() != Some(false)),
        Built::Failed { .. } => Ok(false),
        Built::Missing(places) => Err(places),
    }
}

fn build_step(step: StepIndex, id: &str, path: &Path, building: &Building<'_>) -> Built {
    match building.scope.step(step) {
        // A null result means that the step has no result: everything in it is null too.
        StepState::Value(result) if result.is_null() => Built::Value(result),
        StepState::Value(result) => look(&result, path, &format!("the result of step `{id}`")),
        StepState::Away => away(Place::Step(step)),
        StepState::Failed(error) => Built::Failed { error, step: Some(step) },
        StepState::Open => failed(ErrorKind::OrchestratorError, format!("step `{id}` was read before it was finished")),
    }
}

fn build_variable(variable: &VariableRef, building: &Building<'_>) -> Built {
    let value = match building.scope.variable(&variable.name) {
        Some(Found::Away) => return away(Place::Variable(variable.name.clone())),
        Some(Found::Here(value)) => Some(value),
        None => variable.declared.clone(),
    };
    if let Some(found) = value.as_ref().and_then(|value| value.lookup(variable.path.segments())) {
        return Built::Value(found);
    }
    match (&variable.default, value) {
        (Some(default), _) => build_in(default, building),
        (None, Some(value)) => look(&value, &variable.path, &format!("variable `{}`", variable.name)),
        (None, None) => failed(
            ErrorKind::ExpressionFailure,
            format!("variable `{}` was not given and has no default", variable.name),
        ),
    }
}

fn build_choice(choice: &Choice, building: &Building<'_>) -> Built {
    match (holds(build_in(&choice.condition, building)), &choice.otherwise) {
        (Ok(true), _) => build_in(&choice.then, building),
        (Ok(false), Some(otherwise)) => build_in(otherwise, building),
        (Ok(false), None) => Built::Value(Value::null()),
        (Err(places), _) => Built::Missing(places),
    }
}

fn build_coalesce(items: &[Expr], building: &Building<'_>) -> Built {
    for item in items {
        match build_in(item, building) {
            Built::Value(value) if value.is_null() => {}
            settled => return settled,
        }
    }
    Built::Value(Value::null())
}

/// The values of all members. The first failure is the result, unless something before it is not in memory: which
/// failure it is must not depend on what is loaded.
fn gather<'a>(members: impl Iterator<Item = &'a Expr>, building: &Building<'_>) -> Result<Vec<Value>, Built> {
    let mut values = Vec::with_capacity(members.size_hint().0);
    let mut missing = BTreeSet::new();
    let mut size = 0_usize;
    for member in members {
        match build_in(member, building) {
            Built::Value(value) => {
                size += value.size();
                let copied = building.copied.get() + value.size();
                building.copied.set(copied);
                if size > MAX_BUILT || copied > MOST_COPIED {
                    return Err(failed(ErrorKind::ExpressionFailure, too_large(size, copied)));
                }
                values.push(value);
            }
            Built::Missing(places) => missing.extend(places),
            failure @ Built::Failed { .. } if missing.is_empty() => return Err(failure),
            Built::Failed { .. } => break,
        }
    }
    if missing.is_empty() { Ok(values) } else { Err(Built::Missing(missing)) }
}

fn too_large(size: usize, copied: usize) -> String {
    let most = MAX_BUILT >> 20;
    if size > MAX_BUILT {
        format!("the value would have {size} bytes or more, and a flow may build {most} MiB: keep its parts in blobs")
    } else {
        let most = MOST_COPIED >> 20;
        format!(
            "the value is nested too deep for its size: building it would copy {copied} bytes, more than {most} MiB"
        )
    }
}

fn look(value: &Value, path: &Path, whose: &str) -> Built {
    match value.lookup(path.segments()) {
        Some(found) => Built::Value(found),
        None => failed(ErrorKind::ExpressionFailure, nothing_there(value, path, whose)),
    }
}

fn away(place: Place) -> Built {
    Built::Missing(BTreeSet::from([place]))
}

fn failed(kind: ErrorKind, message: String) -> Built {
    Built::Failed { error: FlowError::new(kind, message), step: None }
}

/// Says how far the path leads, and what is there.
fn nothing_there(value: &Value, path: &Path, whose: &str) -> String {
    let segments = path.segments();
    let reached = (0..segments.len()).rev().find(|length| value.lookup(&segments[..*length]).is_some()).unwrap_or(0);
    let last = value.lookup(&segments[..reached]).unwrap_or_else(Value::null);
    let so_far = Path::from(segments[..reached].to_vec());
    let problem = match (last.kind(), segments.get(reached)) {
        (Kind::Object, Some(Segment::Field(_))) => keys_there(&last),
        (Kind::Array, Some(Segment::Index(_))) => format!("has {} elements", last.elements().len()),
        (kind, _) => format!("is of type {}", kind.name()),
    };
    format!("{whose} has nothing at `{path}`: `{so_far}` {problem}")
}

/// Lists a few of the keys, to make a misspelt one visible.
fn keys_there(object: &Value) -> String {
    const SHOWN: usize = 8;
    let members = object.members();
    let names: Vec<String> =
        members.iter().take(SHOWN).map(|(key, _)| format!("`{}`", key.chars().take(40).collect::<String>())).collect();
    match (names.is_empty(), members.len() > SHOWN) {
        (true, _) => "is an empty object".to_owned(),
        (false, true) => format!("has {}, …", names.join(", ")),
        (false, false) => format!("has only {}", names.join(", ")),
    }
}
