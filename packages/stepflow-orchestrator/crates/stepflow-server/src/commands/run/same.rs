//! Whether two values are the same, however they are written: members in any order, numbers by their value.

use std::collections::HashMap;

use stepflow_protocol::{Kind, Value};

/// Whether both are the same, or both are missing.
pub fn same_or_none(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => same(left, right),
        (None, None) => true,
        _ => false,
    }
}

/// Whether two values are the same. Recursion is safe here: values are nested at most `MAX_DEPTH` deep.
pub fn same(left: &Value, right: &Value) -> bool {
    if left == right {
        return true;
    }
    match (left.kind(), right.kind()) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Bool, Kind::Bool) => left.as_bool() == right.as_bool(),
        (Kind::Number, Kind::Number) => same_number(left.as_str(), right.as_str()),
        (Kind::String, Kind::String) => left.text() == right.text(),
        (Kind::Array, Kind::Array) => {
            let (left, right) = (left.elements(), right.elements());
            left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| same(left, right))
        }
        (Kind::Object, Kind::Object) => {
            let (left, right): (_, HashMap<String, Value>) = (left.members(), right.members().into_iter().collect());
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        _ => false,
    }
}

/// Integers are compared by their digits, because two large ones may be equal as floats.
fn same_number(left: &str, right: &str) -> bool {
    let is_integer = |text: &str| text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    let (left, right) = (left.trim(), right.trim());
    left == right || (!(is_integer(left) && is_integer(right)) && left.parse::<f64>().ok() == right.parse::<f64>().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_however_they_are_written() {
        let value = |text: &str| Value::parse(text).unwrap();
        for (left, right, are_same) in [
            (r#"{"s": 1, "tag": "a"}"#, r#"{"tag":"a","s":1}"#, true),
            (r#"[{"a": {"b": 1, "c": 2}}]"#, r#"[{"a": {"c": 2, "b": 1.0}}]"#, true),
            ("1.50", "15e-1", true),
            (r#""\u0041""#, r#""A""#, true),
            ("[1, 2]", "[2, 1]", false),
            (r#"{"a": 1}"#, r#"{"a": 1, "b": null}"#, false),
            (r#"{"a": 1}"#, r#"{"b": 1}"#, false),
            ("9007199254740993", "9007199254740992", false),
            ("1", r#""1""#, false),
            ("true", "false", false),
        ] {
            assert_eq!(same(&value(left), &value(right)), are_same, "{left} {right}");
        }
    }
}
