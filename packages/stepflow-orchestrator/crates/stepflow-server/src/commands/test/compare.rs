//! Finds the differences between the value that a case expects and the real one, place by place. More people read reports
//! than may read secrets, so values that the flow marks as secret are compared but never shown.

use stepflow_flow::{Mask, Path, REDACTED, Secrets};
use stepflow_protocol::{Kind, Value};

use super::suite::Case;
use crate::wording::cut;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Equal, and members in the same order.
    Exact,
    /// Objects may have more members than expected; arrays have the same length. Ids of runs and backtraces are not
    /// compared, because they differ from run to run.
    Subset,
}

/// A place where two values differ, with secrets hidden.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub path: String,
    pub expected: String,
    pub found: String,
}

/// The place of a value, and which parts of it are secret.
#[derive(Debug, Clone, Default)]
pub struct Location {
    path: Path,
    secrets: Secrets,
}

/// The differences of a case.
#[derive(Debug, Default)]
pub struct Comparison {
    mask: Mask,
    found: Vec<Difference>,
}

/// A value in a report is cut after this many characters.
const MAX_VALUE: usize = 400;

/// Shown instead of a value that is missing.
const NOTHING: &str = "nothing";

impl Location {
    /// The same place in a value with these secrets.
    pub fn hiding(self, secrets: &Secrets) -> Self {
        Self { secrets: secrets.clone(), ..self }
    }

    pub fn field(&self, name: &str) -> Self {
        Self { path: self.path.clone().field(name), secrets: self.secrets.field(name) }
    }

    pub fn index(&self, index: usize) -> Self {
        Self { path: self.path.clone().index(index), secrets: self.secrets.element(index) }
    }
}

impl Comparison {
    /// For the result of this case. The values of its secrets are hidden in every text.
    pub fn of(case: &Case) -> Self {
        let mut mask = Mask::default();
        if let Some(plan) = &case.subject.plan {
            case.inputs.iter().for_each(|input| mask.add(plan.input_secrets(), input));
            plan.hide_variables(case.variables.as_ref(), &mut mask);
        }
        Self { mask, found: Vec::new() }
    }

    /// The text with secrets hidden.
    pub fn text(&self, text: &str) -> String {
        cut(&self.mask.text(text), MAX_VALUE)
    }

    /// The value with secrets hidden.
    pub fn value(&self, value: &Value, secrets: &Secrets) -> String {
        self.text(secrets.redact(value).as_str())
    }

    /// Adds a difference in words.
    pub fn add(&mut self, place: &Location, expected: &str, found: &str) {
        let (expected, found) = (self.text(expected), self.text(found));
        self.found.push(Difference { path: self.mask.text(&place.path.to_string()), expected, found });
    }

    /// All differences.
    pub fn finish(self) -> Vec<Difference> {
        self.found
    }

    /// Adds all places where `found` is not as expected.
    pub fn compare(&mut self, expected: &Value, found: &Value, how: Match, place: &Location) {
        if place.secrets.is_all() {
            if !matches(expected, found, how) {
                self.add(place, REDACTED, &format!("another value, {REDACTED} too"));
            }
            return;
        }
        match (expected.kind(), found.kind()) {
            (Kind::Object, Kind::Object) => self.objects(expected, found, how, place),
            (Kind::Array, Kind::Array) => self.arrays(expected, found, how, place),
            _ if expected.canonical() == found.canonical() => {}
            _ => self.values(place, Some(expected), Some(found)),
        }
    }

    fn objects(&mut self, expected: &Value, found: &Value, how: Match, place: &Location) {
        let before = self.found.len();
        let (wanted, there) = (expected.members(), found.members());
        for (key, member) in &wanted {
            let place = place.field(key);
            match there.iter().find(|(name, _)| name == key) {
                _ if how == Match::Subset && key == "backtrace" => {}
                None => self.values(&place, Some(member), None),
                Some((_, value)) if how == Match::Subset && is_run_id(key, member, value) => {}
                Some((_, value)) => self.compare(member, value, how, &place),
            }
        }
        if how == Match::Subset {
            return;
        }
        for (key, value) in &there {
            if !wanted.iter().any(|(name, _)| name == key) {
                self.values(&place.field(key), None, Some(value));
            }
        }
        let keys = |members: &[(String, Value)]| members.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        if self.found.len() == before && keys(&wanted) != keys(&there) {
            let list = |members: &[(String, Value)]| format!("members in the order {}", keys(members).join(", "));
            self.add(place, &list(&wanted), &list(&there));
        }
    }

    fn arrays(&mut self, expected: &Value, found: &Value, how: Match, place: &Location) {
        let (wanted, there) = (expected.elements(), found.elements());
        for (index, (element, value)) in wanted.iter().zip(&there).enumerate() {
            self.compare(element, value, how, &place.index(index));
        }
        if wanted.len() != there.len() {
            let count =
                |elements: &[Value], of: &Value| format!("{} elements: {}", elements.len(), place.secrets.redact(of));
            self.add(place, &count(&wanted, expected), &count(&there, found));
        }
    }

    /// Adds two values that differ, of which one may be missing.
    pub fn values(&mut self, place: &Location, expected: Option<&Value>, found: Option<&Value>) {
        let shown = |value: Option<&Value>| {
            value.map_or_else(|| NOTHING.to_owned(), |value| place.secrets.redact(value).as_str().to_owned())
        };
        self.add(place, &shown(expected), &shown(found));
    }
}

/// Whether the value is as expected.
pub fn matches(expected: &Value, found: &Value, how: Match) -> bool {
    let mut comparison = Comparison::default();
    comparison.compare(expected, found, how, &Location::default());
    comparison.found.is_empty()
}

fn is_run_id(key: &str, expected: &Value, found: &Value) -> bool {
    key == "run_id" && expected.kind() == Kind::String && found.kind() == Kind::String
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(expected: &str, found: &str, how: Match) -> Vec<String> {
        let mut comparison = Comparison::default();
        let value = |text: &str| Value::parse(text).unwrap();
        comparison.compare(&value(expected), &value(found), how, &Location::default());
        comparison.finish().into_iter().map(|difference| difference.path).collect()
    }

    #[test]
    fn a_subset_may_leave_members_out_and_nothing_else() {
        assert_eq!(paths(r#"{"a":{"b":1}}"#, r#"{"c":0,"a":{"d":2,"b":1}}"#, Match::Subset), [""; 0]);
        assert_eq!(paths(r#"{"a":[1,2]}"#, r#"{"a":[1,2,3]}"#, Match::Subset), ["$.a"]);
        assert_eq!(paths(r#"{"a":94,"b":"x","c":1}"#, r#"{"a":94.0,"b":"y"}"#, Match::Subset), ["$.a", "$.b", "$.c"]);
    }

    #[test]
    fn what_differs_from_run_to_run_is_not_compared_in_a_subset() {
        assert_eq!(paths(r#"{"run_id":"a","backtrace":1}"#, r#"{"run_id":"b"}"#, Match::Subset), [""; 0]);
        assert_eq!(paths(r#"{"run_id":"a"}"#, r#"{"run_id":"b"}"#, Match::Exact), ["$.run_id"]);
    }

    #[test]
    fn an_exact_match_sees_more_members_and_their_order() {
        assert_eq!(paths(r#"{"a":1}"#, r#"{"a":1,"b":2}"#, Match::Exact), ["$.b"]);
        assert_eq!(paths(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, Match::Exact), ["$"]);
        assert_eq!(paths(r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#, Match::Exact), ["$.a"]);
    }
}
