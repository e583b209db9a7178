//! Reads YAML and JSON into values, and refuses what is wrong, with its place.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::yaml;
use stepflow_flow::{Source, read_node, read_value};

fn of_yaml(text: &str) -> String {
    read_value(&Source::yaml("in.yaml", text)).unwrap_or_else(|wrong| panic!("{text:?}: {wrong}")).as_str().to_owned()
}

fn of_json(text: &str) -> String {
    read_value(&Source::json("in.json", text)).unwrap_or_else(|wrong| panic!("{text:?}: {wrong}")).as_str().to_owned()
}

/// Code, line, column and message of each mistake.
fn refused(source: &Source) -> Vec<(u16, usize, usize, String)> {
    let wrong = read_node(source).expect_err(&format!("{source:?}"));
    wrong
        .iter()
        .map(|one| {
            let position = one.position.unwrap();
            (one.code.number(), position.line, position.column, one.message.clone())
        })
        .collect()
}

#[test]
fn yaml_scalars_are_those_of_the_core_schema() {
    let cases = [
        ("on", r#""on""#),
        ("yes", r#""yes""#),
        ("no", r#""no""#),
        ("True", "true"),
        ("FALSE", "false"),
        ("~", "null"),
        ("", "null"),
        ("Null", "null"),
        ("'~'", r#""~""#),
        ("12", "12"),
        ("+12", "12"),
        ("007", "7"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("-0", "0"),
        ("1_000", r#""1_000""#),
        ("1.50", "1.5"),
        ("1.", "1.0"),
        (".5", "0.5"),
        ("1e3", "1000.0"),
        ("1e16", "1e16"),
        ("1.5e-7", "1.5e-7"),
        ("12e", r#""12e""#),
        (".", r#"".""#),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("2001-01-01", r#""2001-01-01""#),
        ("!!str 12", r#""12""#),
        ("! 12", r#""12""#),
        ("!!int '12'", "12"),
        ("!!float 1.5", "1.5"),
        ("!!null ''", "null"),
        ("\"\\u00e9\\t\"", r#""é\t""#),
        ("|\n  a\n  b\n", r#""a\nb\n""#),
        (">-\n  a\n  b\n", r#""a b""#),
        ("[1, [a, {b: c}], ]", r#"[1,["a",{"b":"c"}]]"#),
        ("{b: 1, a: 2}", r#"{"b":1,"a":2}"#),
        ("1: x\ntrue: y\nnull: z", r#"{"1":"x","true":"y","null":"z"}"#),
        ("- &x {a: [1]}\n- *x\n", r#"[{"a":[1]},{"a":[1]}]"#),
        ("&k key: 1\nother: *k", r#"{"key":1,"other":"key"}"#),
        ("'<<': 1", r#"{"<<":1}"#),
        ("\u{feff}a: 1", r#"{"a":1}"#),
        ("---\na: 1\n...\n", r#"{"a":1}"#),
        ("# only a comment\n", "null"),
        ("a: 1\r\nb: 2\r\n", r#"{"a":1,"b":2}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(of_yaml(text), expected, "{text:?}");
    }
}

#[test]
fn json_keeps_order_and_digits() {
    let cases = [
        (r#" {"b": 1, "a": [true, null, "\u00e9\n"]} "#, r#"{"b":1,"a":[true,null,"é\n"]}"#),
        ("18446744073709551616", "18446744073709551616"),
        ("1.0", "1.0"),
        ("1E2", "100.0"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("1e-7", "1e-7"),
        (r#""\ud83d\ude00""#, r#""😀""#),
        ("{}", "{}"),
        ("[]", "[]"),
        ("\u{feff}1", "1"),
    ];
    for (text, expected) in cases {
        assert_eq!(of_json(text), expected, "{text:?}");
    }
}

#[test]
fn yaml_mistakes_are_refused_with_their_place() {
    let cases = [
        ("a: 1\na: 2\n", 3011, 2, 1),
        ("x:\n  b: 1\n  c: 2\n  b: 3\n", 3011, 4, 3),
        ("a:\n\t- b\n", 3010, 2, 1),
        ("a:\n  b: 1\n\tc: 2\n", 3010, 3, 1),
        ("\ta: b\n", 3010, 1, 1),
        ("a: *nowhere\n", 3010, 1, 4),
        ("a: &x\n  b: *x\n", 3010, 2, 6),
        ("a: b: c\n", 3010, 1, 5),
        ("a:\n  - b\n - c\n", 3010, 3, 2),
        ("\"x", 3010, 1, 1),
        ("a: 1\n---\nb: 2\n", 3010, 2, 1),
        ("? [a]\n: b\n", 3010, 1, 3),
        (": x\n", 3010, 1, 1),
        ("a: &d {x: 1}\nb:\n  <<: *d\n", 3010, 3, 3),
        ("a: !custom 1\n", 3010, 1, 12),
        ("a: .inf\n", 3012, 1, 4),
        ("a: !!int x\n", 3012, 1, 10),
        ("a: 1e999\n", 3014, 1, 4),
        ("a: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\n", 3014, 1, 4),
    ];
    for (text, code, line, column) in cases {
        let found = refused(&Source::yaml("x", text));
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert_eq!((found[0].0, found[0].1, found[0].2), (code, line, column), "{text:?}: {}", found[0].3);
    }
}

#[test]
fn json_mistakes_are_refused_with_their_place() {
    let cases = [
        ("", 3010, 1, 1),
        ("{\"a\": 1,\n \"a\": 2}", 3011, 2, 2),
        ("{\"a\": 1,}", 3010, 1, 8),
        ("[1,]", 3010, 1, 3),
        ("[1 2]", 3010, 1, 4),
        ("{a: 1}", 3010, 1, 2),
        ("{'a': 1}", 3010, 1, 2),
        ("['a']", 3010, 1, 2),
        ("{\"a\" 1}", 3010, 1, 6),
        ("{\"a\":\n", 3010, 2, 1),
        ("[01]", 3010, 1, 2),
        ("[1.]", 3010, 1, 2),
        ("[+1]", 3010, 1, 2),
        ("[.5]", 3010, 1, 2),
        ("[NaN]", 3010, 1, 2),
        ("[nul]", 3010, 1, 2),
        ("[truex]", 3010, 1, 2),
        ("[\"a\nb\"]", 3010, 1, 2),
        ("[\"\\x\"]", 3010, 1, 2),
        ("[\"\\ud800\"]", 3010, 1, 2),
        ("[\"a\tb\"]", 3010, 1, 2),
        ("1 2", 3010, 1, 3),
        ("// c\n1", 3010, 1, 1),
        ("[1e999]", 3014, 1, 2),
    ];
    for (text, code, line, column) in cases {
        let found = refused(&Source::json("x", text));
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert_eq!((found[0].0, found[0].1, found[0].2), (code, line, column), "{text:?}: {}", found[0].3);
    }
}

#[test]
fn nesting_beyond_128_is_refused() {
    for depth in [128, 129] {
        let text = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(read_value(&Source::json("x", text.as_str())).is_ok(), depth == 128);
        assert_eq!(read_value(&Source::yaml("x", text.as_str())).is_ok(), depth == 128);
        let block: String = (0..depth).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        assert_eq!(read_value(&Source::yaml("x", block.as_str())).is_ok(), depth == 128);
    }
    assert_eq!(refused(&Source::yaml("x", "[".repeat(100_000)))[0].0, 3014);
}

#[test]
fn aliases_cannot_nest_beyond_the_limit_either() {
    let deep = format!("- &a {}{}\n- {}*a{}\n", "[".repeat(100), "]".repeat(100), "[".repeat(100), "]".repeat(100));
    assert_eq!(refused(&Source::yaml("x", deep))[0].0, 3014);
}

#[test]
fn aliases_that_blow_up_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    assert_eq!(refused(&Source::yaml("x", text))[0].0, 3014);
}

#[test]
fn a_document_over_16_mib_is_refused_unread() {
    let text = format!("\"{}\"", "x".repeat(16 * 1024 * 1024));
    assert_eq!(refused(&Source::json("x", text.as_str()))[0].0, 3014);
    assert_eq!(refused(&Source::yaml("x", text))[0].0, 3014);
}

#[test]
fn text_that_is_not_utf8_is_refused_at_its_first_bad_byte() {
    let found = refused(&Source::yaml("x", b"a: 1\nb: \xe9\n".to_vec()));
    assert_eq!((found[0].0, found[0].1, found[0].2), (3010, 2, 4));
}

#[test]
fn all_duplicate_keys_are_named() {
    let found = refused(&Source::yaml("x", "a: {k: 1, k: 2}\nb: 1\na: 3\n"));
    assert_eq!(found.iter().map(|one| (one.1, one.2)).collect::<Vec<_>>(), [(1, 11), (3, 1)]);
}

#[test]
fn large_objects_are_checked_for_duplicates_too() {
    let mut text: String = (0..1_000).map(|key| format!("k{key}: 1\n")).collect();
    text.push_str("k500: 2\n");
    assert_eq!(refused(&Source::yaml("x", text))[0].1, 1_001);
}

#[test]
fn a_duplicate_key_does_not_hide_other_mistakes() {
    let loaded = yaml("name: a\nname: b\noutput: {$step: nowhere}\n");
    let codes: Vec<u16> = loaded.diagnostics.iter().map(|one| one.code.number()).collect();
    assert!(codes.contains(&3011) && codes.contains(&3003), "{codes:?}");
}

#[test]
fn every_node_and_key_knows_its_place() {
    let source = Source::yaml("x", "a:\n  - x\n  - {k: [1, 2]}\nb: \"q\"\n");
    let node = read_node(&source).unwrap();
    let text = |span: stepflow_flow::Span| std::str::from_utf8(&source.text[span.start..span.end]).unwrap();
    let list = node.get("a").unwrap();
    assert_eq!(text(list.span), "- x\n  - {k: [1, 2]}");
    assert_eq!(text(list.elements()[1].span), "{k: [1, 2]}");
    assert_eq!(text(list.elements()[1].get("k").unwrap().span), "[1, 2]");
    assert_eq!(text(node.entry("b").unwrap().key_span), "b");
    assert_eq!(text(node.entry("b").unwrap().span()), "b: \"q\"");
}
