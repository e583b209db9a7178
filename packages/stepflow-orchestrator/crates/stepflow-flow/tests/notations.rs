//! YAML and JSON have the same limits, and report them in the same words.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::{json, yaml};
use stepflow_flow::Loaded;

/// The fatal diagnostics, each as code and message.
fn refusals(loaded: &Loaded) -> Vec<(u16, String)> {
    let fatal = loaded.diagnostics.iter().filter(|one| one.code.number() >= 3000);
    fatal.map(|one| (one.code.number(), one.message.clone())).collect()
}

#[test]
fn what_both_notations_can_write_is_refused_in_the_same_words() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let cases = [
        (r#"{"output": 1e999}"#.to_owned(), "the number `1e999` is too large for any number type"),
        (r#"{"output": -1e999}"#.to_owned(), "the number `-1e999` is too large for any number type"),
        (r#"{"metadata": {"a": 1, "\u0061": 2}}"#.to_owned(), "the key `a` appears twice in this object"),
        (r#"{"metadata": {"a\tb": 1, "a\u0009b": 2}}"#.to_owned(), "the key `a\tb` appears twice in this object"),
        (r#"{"output": "\ud800"}"#.to_owned(), "the string has half of a surrogate pair, which is not a character"),
        (r#"{"output": "\udc00x"}"#.to_owned(), "the string has half of a surrogate pair, which is not a character"),
        (
            r#"{"output": "\ud800\u0061"}"#.to_owned(),
            "the string has half of a surrogate pair, which is not a character",
        ),
        (r#"{"\ud800": 1}"#.to_owned(), "the string has half of a surrogate pair, which is not a character"),
        (format!(r#"{{"output": {}}}"#, deep(128)), "nested more than 128 deep"),
    ];
    for (text, message) in cases {
        let found = [yaml(&text), json(&text)].map(|loaded| refusals(&loaded));
        assert_eq!(found[0], found[1], "{text}");
        assert_eq!(found[0].iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>(), [message], "{text}");
    }
}

#[test]
fn what_is_just_within_a_limit_is_read_alike() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for text in [
        format!(r#"{{"output": {}}}"#, deep(127)),
        r#"{"output": "\ud83d\ude00"}"#.to_owned(),
        r#"{"output": 1e308}"#.to_owned(),
        r#"{"output": "\\ud800"}"#.to_owned(),
    ] {
        let ids = [yaml(&text), json(&text)].map(|loaded| loaded.flow.unwrap_or_else(|| panic!("{text}")).id());
        assert_eq!(ids[0], ids[1], "{text}");
    }
}
