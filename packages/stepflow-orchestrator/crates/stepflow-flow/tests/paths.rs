//! The path syntax and its one canonical spelling.

use stepflow_flow::Path;
use stepflow_flow::path::Segment;

fn field(name: &str) -> Segment {
    Segment::Field(name.to_owned())
}

#[test]
fn paths_are_read_as_documented() {
    let cases: [(&str, Vec<Segment>, &str); 22] = [
        ("", vec![], "$"),
        ("$", vec![], "$"),
        (" $ ", vec![], "$"),
        ("a", vec![field("a")], "$.a"),
        ("a.b", vec![field("a.b")], r#"$["a.b"]"#),
        ("0", vec![field("0")], r#"$["0"]"#),
        (" x y ", vec![field(" x y ")], r#"$[" x y "]"#),
        ("$.a.b", vec![field("a"), field("b")], "$.a.b"),
        ("$..a", vec![field("a")], "$.a"),
        ("$.a.", vec![field("a")], "$.a"),
        ("$.a-b_1", vec![field("a-b_1")], "$.a-b_1"),
        ("$.a b", vec![field("a b")], r#"$["a b"]"#),
        ("$.0", vec![field("0")], r#"$["0"]"#),
        ("$[0]", vec![Segment::Index(0)], "$[0]"),
        ("$.a[12].b", vec![field("a"), Segment::Index(12), field("b")], "$.a[12].b"),
        (r#"$["a b"]"#, vec![field("a b")], r#"$["a b"]"#),
        (r#"$["a\"]\n"]"#, vec![field("a\"]\n")], r#"$["a\"]\n"]"#),
        (r#"$["a"]["b"][1]"#, vec![field("a"), field("b"), Segment::Index(1)], "$.a.b[1]"),
        ("$['it'].x", vec![field("it"), field("x")], "$.it.x"),
        (r#"$["\u00e9"]"#, vec![field("é")], r#"$["é"]"#),
        (r#"$[""]"#, vec![field("")], r#"$[""]"#),
        ("$.é", vec![field("é")], r#"$["é"]"#),
    ];
    for (text, segments, canonical) in cases {
        let path = Path::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(path.segments(), segments, "{text:?}");
        assert_eq!(path.to_string(), canonical, "{text:?}");
        assert_eq!(Path::parse(canonical).unwrap(), path, "{text:?}");
    }
}

#[test]
fn what_is_no_path_says_where() {
    let cases = [
        ("$field", 1),
        ("$ .a", 1),
        ("$[0]x", 4),
        ("$[-1]", 1),
        ("$[abc]", 1),
        ("$[0", 3),
        ("$.a[", 3),
        ("$[\"a]", 1),
        ("$['a]", 1),
        ("$[*]", 1),
        ("$[99999999999999999999]", 1),
    ];
    for (text, offset) in cases {
        let error = Path::parse(text).expect_err(text);
        assert_eq!(error.offset, offset, "{text}: {error}");
    }
}
