#![allow(clippy::unwrap_used, clippy::expect_used)]
//! A value keeps its text through all operations.

use proptest::prelude::*;
use stepflow_protocol::{Kind, MAX_DEPTH, Segment, Value, ValueError, content_id};

fn value(text: &str) -> Value {
    Value::parse(text).unwrap()
}

fn field(name: &str) -> Segment {
    Segment::Field(name.to_owned())
}

#[test]
fn numbers_and_key_order_stay_as_they_came() {
    let text = r#"{"b":9007199254740993,"a":1.0,"c":1e16,"n":123456789012345678901234567890}"#;
    assert_eq!(value(text).as_str(), text);
    assert_eq!(serde_json::to_string(&value(text)).unwrap(), text);
}

#[test]
fn line_breaks_between_tokens_are_taken_out_and_strings_stay() {
    assert_eq!(value("{\n \"a b\" :\r\n [ 1, \"x \\n \\\" y\" ] }").as_str(), r#"{"a b":[1,"x \n \" y"]}"#);
    assert_eq!(value(" [1, 2] ").as_str(), "[1, 2]");
}

#[test]
fn a_path_leads_to_members_and_elements() {
    let document = value(r#"{"a":{"b":[10,{"c":"d"}]},"a.b":7}"#);
    assert_eq!(document.lookup(&[field("a"), field("b"), Segment::Index(1), field("c")]), Some(value("\"d\"")));
    assert_eq!(document.lookup(&[field("a.b")]), Some(value("7")));
    assert_eq!(document.lookup(&[field("a"), Segment::Index(0)]), None);
    assert_eq!(document.lookup(&[field("missing")]), None);
    assert_eq!(document.lookup(&[]), Some(document.clone()));
}

#[test]
fn a_key_that_stands_twice_is_refused_with_its_place() {
    let many: String = (0..40).map(|n| format!(r#""key_number_{n}":{n},"#)).collect();
    for (text, place) in [
        (r#"{"a":1,"a":2}"#.to_owned(), "$.a"),
        (r#"{"a":1,"\u0061":2}"#.to_owned(), "$.a"),
        (r#"{"":1,"":1}"#.to_owned(), r#"$[""]"#),
        (r#"[{"a":1},{"b":[{"x y":{"q":"a,{"}},{"c":{"d":1,"e":[1,2],"d":1}}]}]"#.to_owned(), "$[1].b[1].c.d"),
        ("{ \"x y\" : {\n \"é\" : [] ,\n \"\\u00e9\" : {} } }".to_owned(), r#"$["x y"].é"#),
        (format!(r#"[{{{many}"key_number_7":0}}]"#), "$[0].key_number_7"),
        (format!(r#"{{{many}"x":{{"a":1,"b":2,"a":3}}}}"#), "$.x.a"),
    ] {
        let error = Value::parse(text.as_str()).unwrap_err();
        assert!(matches!(&error, ValueError::DuplicateKey(path) if path == place), "{text}: {error}");
        assert!(serde_json::from_str::<Value>(&text).unwrap_err().to_string().contains(place), "{text}");
    }
    for text in [
        r#"[{"a":1},{"a":1}]"#,
        r#"{"a":"a","b":["a","a","b"],"c":{"a":{"a":1}}}"#,
        r#"{"a":"b,","b":1}"#,
        r#"{"a":1,"a\u0000":2,"A":3}"#,
        r#"{"ab":1,"ba":2,"b":3,"":4}"#,
    ] {
        assert!(Value::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Value::parse(nested(MAX_DEPTH)).is_ok());
    let refused = |text: String| match Value::parse(text) {
        Err(ValueError::TooDeep(path)) => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(nested(MAX_DEPTH + 1)), "$[0][0][0][0][0][0]…[0][0]");
    let inside = format!(r#"{{"a":1,"b":[{{}},{{"c d":{}}}]}}"#, nested(MAX_DEPTH));
    assert_eq!(refused(inside), r#"$.b[1]["c d"][0][0][0]…[0][0]"#);
}

#[test]
fn half_of_a_surrogate_pair_is_refused_with_its_place() {
    let deep = format!("{}\"\\ud800\"{}", r#"{"a":"#.repeat(20), "}".repeat(20));
    for (text, place) in [
        (r#""\ud800x""#, "$"),
        (r#"[["\"",2],"x\udc00"]"#, "$[1]"),
        (r#"{"a":{"b":"\ud83d\ude00"},"c":[1,{"d":"\ud800\u0061"}]}"#, "$.c[1].d"),
        (r#"{"a":[{"b":1,"x\ud800":2}]}"#, r#"$.a[0]["x\ud800"]"#),
        ("{ \"a\" :\n \"\\udfff\" }", "$.a"),
        (&deep, "$.a.a.a.a.a.a….a.a"),
    ] {
        let error = Value::parse(text).unwrap_err();
        assert!(matches!(&error, ValueError::LoneSurrogate(path) if path == place), "{text}: {error}");
    }
}

#[test]
fn the_params_of_a_message_do_not_count_as_levels_of_the_values_in_them() {
    let inputs = |depth: usize| format!(r#"{{"inputs":[{}{}],"key":1}}"#, "[".repeat(depth), "]".repeat(depth));
    let first = |depth| Value::parse_params(inputs(depth)).unwrap().field("inputs").unwrap().elements()[0].clone();
    assert!(Value::parse(first(MAX_DEPTH).as_str()).is_ok());
    assert!(matches!(Value::parse_params(inputs(MAX_DEPTH + 1)), Err(ValueError::TooDeep(_))));
    let twice = inputs(MAX_DEPTH).replace("key", "inputs");
    assert!(matches!(Value::parse_params(twice), Err(ValueError::DuplicateKey(path)) if path == "$.inputs"));
}

#[test]
fn what_is_not_json_says_where() {
    assert!(matches!(Value::parse(b"\"\xff\"".to_vec()), Err(ValueError::NotUtf8(1))));
    assert!(matches!(Value::parse("{} {}"), Err(ValueError::NotJson(_))));
    assert!(matches!(Value::parse("[1,]"), Err(ValueError::NotJson(_))));
    assert!(Value::parse(r#""\ud83d\ude00""#).is_ok());
}

#[test]
fn built_values_are_json() {
    let built = Value::object([("k\"\n", Value::array([Value::null(), true.into(), 7_i64.into(), "é\u{1}".into()]))]);
    assert_eq!(Value::parse(built.as_str()).unwrap(), built);
    assert_eq!(built.kind(), Kind::Object);
    assert_eq!(built.members()[0].1.elements()[3].text().as_deref(), Some("é\u{1}"));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((".{0,5}", inner), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_tree_survives_the_way_through_a_value(tree in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&tree).unwrap() } else { tree.to_string() };
        let value = Value::parse(text).unwrap();
        prop_assert_eq!(value.to_json().unwrap(), tree.clone());
        prop_assert!(!value.as_str().contains(['\n', '\r']));
        prop_assert_eq!(Value::from_json(&tree).to_json().unwrap(), tree);
    }

    #[test]
    fn rebuilding_a_value_from_its_parts_gives_the_same_tree(tree in json()) {
        let value = Value::from_json(&tree);
        let rebuilt = match value.kind() {
            Kind::Object => Value::object(value.members()),
            Kind::Array => Value::array(value.elements()),
            _ => value.clone(),
        };
        prop_assert_eq!(rebuilt, value);
    }

    #[test]
    fn an_object_is_refused_exactly_when_two_of_its_keys_are_equal(
        keys in prop::collection::vec("[ab\\\\\"é]{0,3}|key[0-9]{5,9}", 0..40), escaped in any::<bool>()
    ) {
        let key = |key: &String| {
            let quoted = serde_json::to_string(key).unwrap();
            if escaped { quoted.replace('a', "\\u0061").replace('é', "\\u00e9") } else { quoted }
        };
        let mixed: Vec<String> = keys.iter().map(key).chain(keys.first().map(|key| serde_json::to_string(key).unwrap())).collect();
        let object = |keys: &[String]| format!("{{{}}}", keys.iter().map(|key| format!("{key}:[1]")).collect::<Vec<_>>().join(","));
        let unique = keys.iter().collect::<std::collections::HashSet<_>>().len() == keys.len();
        prop_assert_eq!(Value::parse(object(&mixed[..keys.len()])).is_ok(), unique);
        prop_assert_eq!(Value::parse(object(&mixed)).is_ok(), keys.is_empty());
    }

    #[test]
    fn no_bytes_make_the_check_panic_and_accepted_ones_are_json(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(value) = Value::parse(bytes) {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(value.as_str()).is_ok());
        }
    }
}

#[test]
fn the_canonical_text_is_one_for_all_spellings() {
    let spelled = value(r#"{"b": [1e16, 1.50, -0, 9007199254740993], "a": "\u00e9\/\n"}"#);
    assert_eq!(spelled.canonical().as_str(), r#"{"b":[1e16,1.5,0,9007199254740993],"a":"é/\n"}"#);
    let published = "5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22";
    assert_eq!(content_id(value("{ \"x\": 1 }").canonical().as_bytes()).to_string(), published);
}
