//! A step's values in the types of the template engine. Integers keep all their digits: a number that the engine cannot
//! hold is refused.

use minijinja::Value as Jinja;
use stepflow_flow::Path;
use stepflow_protocol::{ErrorKind, FlowError, Kind, Value};

/// The values of a template.
///
/// # Errors
///
/// INVALID_INPUT with the path of a number that the engine would change.
pub(super) fn of(values: &Value) -> Result<Jinja, FlowError> {
    convert(values, &Path::root().field("values"))
}

fn convert(value: &Value, at: &Path) -> Result<Jinja, FlowError> {
    Ok(match value.kind() {
        Kind::Null => Jinja::from(()),
        Kind::Bool => Jinja::from(value.as_bool()),
        Kind::Number => number(value.as_str()).ok_or_else(|| too_large(value.as_str(), at))?,
        Kind::String => Jinja::from(value.text().unwrap_or_default()),
        Kind::Array => value
            .elements()
            .iter()
            .enumerate()
            .map(|(index, element)| convert(element, &at.clone().index(index)))
            .collect::<Result<Vec<_>, _>>()
            .map(Jinja::from)?,
        Kind::Object => value
            .members()
            .iter()
            .map(|(name, member)| Ok((name.clone(), convert(member, &at.clone().field(name))?)))
            .collect::<Result<Jinja, FlowError>>()?,
    })
}

fn number(digits: &str) -> Option<Jinja> {
    if digits.contains(['.', 'e', 'E']) {
        return digits.parse::<f64>().ok().filter(|number| number.is_finite()).map(Jinja::from);
    }
    let signed = || digits.parse::<i64>().map(Jinja::from);
    let wider = || digits.parse::<i128>().map(Jinja::from);
    signed().or_else(|_| wider()).or_else(|_| digits.parse::<u128>().map(Jinja::from)).ok()
}

fn too_large(digits: &str, at: &Path) -> FlowError {
    let shown: String = digits.chars().take(40).collect();
    let message = format!("the number `{shown}` at `{at}` is larger than a template can write: pass it as a text");
    FlowError::new(ErrorKind::InvalidInput, message).with([("path", Value::string(&at.to_string()))])
}
