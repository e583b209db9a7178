//! `--set a.b=1`: sets single places of an input, after the other input options.

use stepflow_flow::path::Segment;
use stepflow_flow::{Path, Secrets};
use stepflow_protocol::{Kind, MAX_DEPTH, Value, ValueError};

use crate::exit::Failure;

/// The input after these assignments, each `PATH=JSON`, in their order. Errors do not show values of secret places.
pub fn assign(input: Value, assignments: &[String], secrets: &Secrets) -> Result<Value, Failure> {
    assignments.iter().try_fold(input, |input, assignment| {
        let (path, value) = parse(assignment, secrets)?;
        let filled = set(&input, path.segments(), value).and_then(|filled| match filled.depth() {
            0..=MAX_DEPTH => Ok(filled),
            _ => Err(format!("it would be nested more than {MAX_DEPTH} deep")),
        });
        filled.map_err(|problem| {
            let shown = shown(assignment, !secrets.at(&path).is_none());
            Failure::usage(format!("`--set {shown}` does not fit the input: {problem}"))
        })
    })
}

fn parse(assignment: &str, secrets: &Secrets) -> Result<(Path, Value), Failure> {
    let (place, json) = assignment.split_once('=').ok_or_else(|| {
        let shown = shown(assignment, !secrets.is_none());
        Failure::usage(format!("`--set {shown}` has no `=`")).hint("write it as `--set a.b=1`")
    })?;
    let place = place.trim();
    let dotted = if place.starts_with('$') { place.to_owned() } else { format!("$.{place}") };
    let path = Path::parse(&dotted).map_err(|error| {
        let shown = shown(assignment, !secrets.is_none());
        Failure::usage(format!("`--set {shown}` has a wrong path: {error}"))
    })?;
    let value = Value::parse(json).map_err(|problem| {
        let secret = !secrets.at(&path).is_none();
        if !secret && !matches!(problem, ValueError::NotJson(_)) {
            return Failure::usage(format!("the value of `--set {assignment}` is not allowed: {problem}"));
        }
        let quoted = if secret { "\"…\"".to_owned() } else { serde_json::Value::from(json).to_string() };
        Failure::usage(format!("the value of `--set {}` is not JSON", shown(assignment, secret)))
            .hint(format!("a text needs quotes: `--set '{place}={quoted}'`"))
    })?;
    Ok((path, value))
}

/// An assignment as an error shows it.
fn shown(assignment: &str, secret: bool) -> String {
    match assignment.split_once('=') {
        Some((place, _)) if secret => format!("{place}=…"),
        None if secret => "…".to_owned(),
        _ => assignment.to_owned(),
    }
}

/// The value with a new value at this path. Missing objects and arrays on the path are created; `null` counts as missing.
fn set(value: &Value, path: &[Segment], new: Value) -> Result<Value, String> {
    let Some((first, rest)) = path.split_first() else { return Ok(new) };
    let nothing = Value::null();
    match first {
        Segment::Field(name) => {
            let mut members = match value.kind() {
                Kind::Object => value.members(),
                Kind::Null => Vec::new(),
                other => return Err(format!("`{name}` would be a member of {}", other.name())),
            };
            match members.iter_mut().find(|(key, _)| key == name) {
                Some((_, member)) => *member = set(member, rest, new)?,
                None => members.push((name.clone(), set(&nothing, rest, new)?)),
            }
            Ok(Value::object(members))
        }
        Segment::Index(index) => {
            let mut elements = match value.kind() {
                Kind::Array => value.elements(),
                Kind::Null => Vec::new(),
                other => return Err(format!("`[{index}]` would be an element of {}", other.name())),
            };
            let place = usize::try_from(*index).unwrap_or(usize::MAX);
            let count = elements.len();
            match elements.get_mut(place) {
                Some(element) => *element = set(element, rest, new)?,
                None if place == count => elements.push(set(&nothing, rest, new)?),
                None => return Err(format!("there are {count} elements, so `[{index}]` would leave a gap")),
            }
            Ok(Value::array(elements))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(input: &str, assignments: &[&str]) -> String {
        let assignments: Vec<String> = assignments.iter().map(ToString::to_string).collect();
        assign(Value::parse(input).unwrap(), &assignments, &Secrets::none()).unwrap().to_string()
    }

    #[test]
    fn a_place_is_set_and_everything_else_stays_as_it_is() {
        assert_eq!(
            assigned(r#"{"big":9007199254740993,"a":{"b":1}}"#, &["a.b=2"]),
            r#"{"big":9007199254740993,"a":{"b":2}}"#
        );
    }

    #[test]
    fn objects_and_arrays_on_the_way_come_into_being() {
        assert_eq!(
            assigned("null", &["a.b=1", "a.c[0].d=\"x\"", "a.c[1]=null"]),
            r#"{"a":{"b":1,"c":[{"d":"x"},null]}}"#
        );
        assert_eq!(assigned("{}", &["$[\"a.b\"]=true"]), r#"{"a.b":true}"#);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (input, assignment) in
            [("1", "a=1"), ("[]", "a=1"), ("[]", "$[1]=1"), ("{}", "a=x"), ("{}", "a"), ("{}", "$[x]=1")]
        {
            assert!(
                assign(Value::parse(input).unwrap(), &[assignment.to_owned()], &Secrets::none()).is_err(),
                "{assignment}"
            );
        }
    }

    #[test]
    fn no_place_is_deeper_than_values_are() {
        let at = |depth: usize| format!("{}=1", vec!["a"; depth].join("."));
        assert!(assign(Value::parse("{}").unwrap(), &[at(128)], &Secrets::none()).is_ok());
        let refused = assign(Value::parse("{}").unwrap(), &[at(129)], &Secrets::none()).unwrap_err();
        assert!(format!("{refused:?}").contains("nested more than 128 deep"), "{refused:?}");
    }
}
