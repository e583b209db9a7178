//! What serde says of a body, in words for people who do not write Rust.

use serde_json::error::Category;

/// What is wrong with a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is not JSON.
    Syntax(String),
    /// A member is not what it should be.
    Member(String),
}

/// The problem in plain words. `member` is the name of the member with the problem, if it is one.
pub fn problem(error: &serde_json::Error, member: Option<&str>) -> Problem {
    let text = error.to_string();
    match error.classify() {
        Category::Data => Problem::Member(of_member(without_place(&text), member)),
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::Syntax(text.replace("EOF while parsing", "the text ends inside"))
        }
    }
}

/// The text without ` at line 1 column 29`: clients see no lines in what they send, and the path says where it is.
fn without_place(text: &str) -> &str {
    text.rfind(" at line ").map_or(text, |end| &text[..end])
}

fn of_member(text: &str, member: Option<&str>) -> String {
    let what = member.map_or_else(|| "it".to_owned(), |name| format!("`{name}`"));
    if let Some((found, wanted)) = between(text, "invalid type: ") {
        return format!("{what} must be {}, and is {}", expected(wanted), kind(found));
    }
    if let Some((found, wanted)) = between(text, "invalid value: ") {
        return format!("{what} must be {}, and is {}", expected(wanted), value(found));
    }
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let (name, known) = rest
            .rsplit_once("`, expected ")
            .or_else(|| rest.rsplit_once("`, "))
            .unwrap_or((rest.trim_end_matches('`'), ""));
        let known = known.trim_start_matches("one of ");
        return match known {
            "" | "there are no fields" => format!("it takes no `{name}`"),
            known => format!("it takes no `{name}`: it takes {known}"),
        };
    }
    if let Some(name) = text.strip_prefix("duplicate field ") {
        return format!("{name} appears twice");
    }
    text.to_owned()
}

/// The two parts of `invalid type: map, expected a sequence`. What was found may be a text with anything in it.
fn between<'t>(text: &'t str, prefix: &str) -> Option<(&'t str, &'t str)> {
    text.strip_prefix(prefix)?.rsplit_once(", expected ")
}

fn expected(wanted: &str) -> &str {
    match wanted {
        "u64" | "usize" => "a whole number that is not negative",
        "u32" => "a whole number from 0 to 4294967295",
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "`true` or `false`",
        wanted if wanted.starts_with("struct ") => "an object",
        wanted => wanted,
    }
}

/// The type alone: a text may be as long as a body.
fn kind(found: &str) -> &str {
    match found.split([' ', '`', '"']).next().unwrap_or_default() {
        "map" => "an object",
        "sequence" => "a list",
        "string" => "a string",
        "integer" | "floating" => "a number",
        "boolean" => "a boolean",
        "unit" | "null" | "Option" => "null",
        _ => found,
    }
}

/// The value, where it is short: `integer `-1`` is `-1`.
fn value(found: &str) -> &str {
    let number = ["integer ", "floating point "].iter().find_map(|kind| found.strip_prefix(kind));
    number.unwrap_or_else(|| kind(found))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the type matters")]
    struct Sent {
        count: Option<u64>,
        small: Option<u32>,
        list: Option<Vec<u64>>,
        flag: Option<bool>,
    }

    #[test]
    fn each_problem_of_a_body_is_said_in_plain_words() {
        for (body, member, said) in [
            (
                r#"{"count": "x, expected 3"}"#,
                "count",
                "`count` must be a whole number that is not negative, and is a string",
            ),
            (r#"{"count": -1}"#, "count", "`count` must be a whole number that is not negative, and is `-1`"),
            (r#"{"count": 1.5}"#, "count", "`count` must be a whole number that is not negative, and is a number"),
            (
                r#"{"small": 5000000000}"#,
                "small",
                "`small` must be a whole number from 0 to 4294967295, and is `5000000000`",
            ),
            (r#"{"list": {"a": 1}}"#, "list", "`list` must be a list, and is an object"),
            (r#"{"flag": [1]}"#, "flag", "`flag` must be `true` or `false`, and is a list"),
            (r#"{"falg": 1}"#, "falg", "it takes no `falg`: it takes `count`, `small`, `list`, `flag`"),
            (r#"{"a`, b": 1}"#, "", "it takes no `a`, b`: it takes `count`, `small`, `list`, `flag`"),
            (r#"{"flag": true, "flag": true}"#, "", "`flag` appears twice"),
        ] {
            let error = serde_json::from_str::<Sent>(body).unwrap_err();
            let member = Some(member).filter(|member| !member.is_empty());
            assert_eq!(problem(&error, member), Problem::Member(said.to_owned()), "{error}");
        }
        let error = serde_json::from_str::<Sent>("{\"count\": 1").unwrap_err();
        let said = "the text ends inside an object at line 1 column 11";
        assert_eq!(problem(&error, None), Problem::Syntax(said.to_owned()));
    }
}
