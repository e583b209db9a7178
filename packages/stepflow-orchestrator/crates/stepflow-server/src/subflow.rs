//! Flows that are written inside a step's input, as `map` and `iterate` take them: their steps call components too.

use stepflow_flow::{Expression, Flow, Path, Source, Step};
use stepflow_protocol::Value;

/// The flow among the members of a step's input, when it is written there, and where. `step` is the step's own place.
#[must_use]
pub fn literal(step: &Step, place: &Path) -> Option<(Path, Flow)> {
    let at = place.clone().field("input");
    match &step.input {
        Expression::Literal(value) => member(value, &at),
        Expression::Escaped(value) => member(value, &at.field("$literal")),
        Expression::Object(members) => members.iter().find_map(|(key, member)| {
            let at = at.clone().field(key);
            match member {
                Expression::Literal(value) => read(value, at),
                Expression::Escaped(value) => read(value, at.field("$literal")),
                _ => None,
            }
        }),
        _ => None,
    }
}

/// Calls `visit` with every step of a flow and of the flows inside it, each with its place.
pub fn each_step(flow: &Flow, at: &Path, visit: &mut dyn FnMut(&Step, &Path)) {
    for (index, step) in flow.steps.iter().enumerate() {
        let place = at.clone().field("steps").index(index);
        visit(step, &place);
        if let Some((at, inner)) = literal(step, &place) {
            each_step(&inner, &at, visit);
        }
    }
}

fn member(value: &Value, at: &Path) -> Option<(Path, Flow)> {
    value.members().into_iter().find_map(|(key, member)| read(&member, at.clone().field(key)))
}

/// The value as a flow, if it is one with steps.
fn read(value: &Value, at: Path) -> Option<(Path, Flow)> {
    value.field("steps").filter(|steps| !steps.elements().is_empty())?;
    let loaded = stepflow_flow::load(Source::json("sub-flow", value.as_bytes()));
    Some((at, loaded.flow.map(std::sync::Arc::unwrap_or_clone)?))
}
