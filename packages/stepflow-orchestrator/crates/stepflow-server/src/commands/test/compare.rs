//! What differs between the value that a case expects and the one that came, place by place.

use stepflow_flow::Path;
use stepflow_protocol::{Kind, Value};

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Equal, and members in the same order.
    Exact,
    /// Objects may have more members than expected; arrays have the same length. Ids of runs and backtraces, which
    /// are never the same twice, do not count.
    Subset,
}

/// A place in which two values differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub path: String,
    pub expected: String,
    pub found: String,
}

/// A value in an error is cut after this many characters.
const SHOWN: usize = 400;

/// All places in which `found` is not what is expected.
pub fn differences(expected: &Value, found: &Value, how: Match, path: &Path, into: &mut Vec<Difference>) {
    match (expected.kind(), found.kind()) {
        (Kind::Object, Kind::Object) => objects(expected, found, how, path, into),
        (Kind::Array, Kind::Array) => arrays(expected, found, how, path, into),
        _ if expected.canonical() == found.canonical() => {}
        _ => into.push(difference(path, shown(expected), shown(found))),
    }
}

fn objects(expected: &Value, found: &Value, how: Match, path: &Path, into: &mut Vec<Difference>) {
    let before = into.len();
    let (wanted, there) = (expected.members(), found.members());
    for (key, member) in &wanted {
        let path = path.clone().field(key);
        match there.iter().find(|(name, _)| name == key) {
            _ if how == Match::Subset && key == "backtrace" => {}
            None => into.push(difference(&path, shown(member), "nothing".to_owned())),
            Some((_, value)) if how == Match::Subset && is_run_id(key, member, value) => {}
            Some((_, value)) => differences(member, value, how, &path, into),
        }
    }
    if how == Match::Subset {
        return;
    }
    for (key, value) in &there {
        if !wanted.iter().any(|(name, _)| name == key) {
            into.push(difference(&path.clone().field(key), "nothing".to_owned(), shown(value)));
        }
    }
    let keys = |members: &[(String, Value)]| members.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    if into.len() == before && keys(&wanted) != keys(&there) {
        let list = |members: &[(String, Value)]| format!("members in the order {}", keys(members).join(", "));
        into.push(difference(path, list(&wanted), list(&there)));
    }
}

fn arrays(expected: &Value, found: &Value, how: Match, path: &Path, into: &mut Vec<Difference>) {
    let (wanted, there) = (expected.elements(), found.elements());
    for (index, (element, value)) in wanted.iter().zip(&there).enumerate() {
        differences(element, value, how, &path.clone().index(index), into);
    }
    if wanted.len() != there.len() {
        let count = |elements: &[Value], of: &Value| format!("{} elements: {}", elements.len(), shown(of));
        into.push(difference(path, count(&wanted, expected), count(&there, found)));
    }
}

fn is_run_id(key: &str, expected: &Value, found: &Value) -> bool {
    key == "run_id" && expected.kind() == Kind::String && found.kind() == Kind::String
}

/// A difference in words.
pub fn difference(path: &Path, expected: String, found: String) -> Difference {
    Difference { path: path.to_string(), expected, found }
}

fn shown(value: &Value) -> String {
    let text = value.as_str();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(expected: &str, found: &str, how: Match) -> Vec<String> {
        let mut into = Vec::new();
        let value = |text: &str| Value::parse(text).unwrap();
        differences(&value(expected), &value(found), how, &Path::root(), &mut into);
        into.into_iter().map(|difference| difference.path).collect()
    }

    #[test]
    fn a_subset_may_leave_members_out_and_nothing_else() {
        assert_eq!(paths(r#"{"a":{"b":1}}"#, r#"{"c":0,"a":{"d":2,"b":1}}"#, Match::Subset), [""; 0]);
        assert_eq!(paths(r#"{"a":[1,2]}"#, r#"{"a":[1,2,3]}"#, Match::Subset), ["$.a"]);
        assert_eq!(paths(r#"{"a":94,"b":"x","c":1}"#, r#"{"a":94.0,"b":"y"}"#, Match::Subset), ["$.a", "$.b", "$.c"]);
    }

    #[test]
    fn what_is_never_the_same_twice_does_not_count_in_a_subset() {
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
