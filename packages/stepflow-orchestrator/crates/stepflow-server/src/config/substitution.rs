//! `${NAME}`, `${NAME:-default}` and `${NAME:default}` in the strings of the configuration; `$${` is `${` itself.

/// Looks up a variable of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a string could not be filled in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// The variable is not set, and there is no default.
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    /// The braces do not hold a name.
    #[error("`${{{0}}}` is not the name of an environment variable")]
    NoName(String),
    /// A default contains a variable, which is not filled in.
    #[error("the default of `{0}` contains `${{`, but a default must be a plain text")]
    Nested(String),
    /// The braces are not closed.
    #[error("`${{` has no closing `}}`")]
    Open,
}

/// The string with the values of the variables that it names.
pub fn fill(text: &str, environment: Environment<'_>) -> Result<String, Unfilled> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = after;
            continue;
        }
        let (inside, after) = after.split_once('}').ok_or(Unfilled::Open)?;
        filled.push_str(before);
        filled.push_str(&value(inside, environment)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The variables that a string names, whether they are set or not.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut before = "";
    text.split("${").enumerate().filter_map(move |(index, part)| {
        let escaped = std::mem::replace(&mut before, part).ends_with('$');
        part.split([':', '}']).next().filter(|_| index > 0 && !escaped)
    })
}

fn value(inside: &str, environment: Environment<'_>) -> Result<String, Unfilled> {
    let (name, default) = match inside.split_once(':') {
        None => (inside, None),
        Some((name, default)) => (name, Some(default.strip_prefix('-').unwrap_or(default))),
    };
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.is_empty() || !is_name(name) {
        return Err(Unfilled::NoName(inside.to_owned()));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Unfilled::Nested(name.to_owned()));
    }
    // As in a shell, a variable that is set to nothing takes the default.
    let set = environment(name).filter(|value| default.is_none() || !value.is_empty());
    set.or_else(|| default.map(str::to_owned)).ok_or_else(|| Unfilled::NotSet(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Unfilled> {
        fill(text, &|name| match name {
            "WORD" => Some("word".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn a_default_is_a_plain_text() {
        assert_eq!(filled("${NONE:-${WORD}}"), Err(Unfilled::Nested("NONE".to_owned())));
        assert_eq!(filled("${WORD:-a${NONE}b}"), Err(Unfilled::Nested("WORD".to_owned())));
    }

    #[test]
    fn variables_and_defaults_are_filled_in() {
        for (text, expected) in [
            ("plain $WORD {x}", "plain $WORD {x}"),
            ("a ${WORD} b ${WORD}", "a word b word"),
            ("${NONE:-default}", "default"),
            ("${NONE:default}", "default"),
            ("${NONE:-http://x:1}", "http://x:1"),
            ("${NONE:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-default}", "default"),
            ("$${WORD} costs $1", "${WORD} costs $1"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn only_variables_are_named() {
        for (text, expected) in
            [("${A}-${B:-x}${C:y}", vec!["A", "B", "C"]), ("$${A} ${B}", vec!["B"]), ("none $A {B}", vec![])]
        {
            assert_eq!(names(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        assert_eq!(filled("${NONE}"), Err(Unfilled::NotSet("NONE".to_owned())));
        assert_eq!(filled("${}"), Err(Unfilled::NoName(String::new())));
        assert_eq!(filled("${A B}"), Err(Unfilled::NoName("A B".to_owned())));
        assert_eq!(filled("x ${WORD"), Err(Unfilled::Open));
    }
}
