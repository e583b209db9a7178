//! How messages word what many of them need: a text that is too long, a count, a list of names.

use std::fmt::Display;

use stepflow_flow::visible::quoted;

/// The text; when it has more than `most` characters, its beginning and how many were left out.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}… ({} characters more)", &text[..end], text[end..].chars().count()),
        None => text.to_owned(),
    }
}

/// `1 step`, `2 steps`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Names in backticks, separated by commas.
pub fn name_list<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    joined(names.into_iter().map(|name| quoted(name.as_ref())), ", ")
}

/// The first `most` of some things, separated by commas, and how many more there are.
pub fn first_of<T: Display>(all: &[T], most: usize) -> String {
    let first = joined(all.iter().take(most), ", ");
    match all.len().saturating_sub(most) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Things as text, with a separator between them.
pub fn joined<T: Display>(all: impl IntoIterator<Item = T>, separator: &str) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_says_how_much_is_missing() {
        assert_eq!(cut("häuser", 6), "häuser");
        assert_eq!(cut("häuser", 2), "hä… (4 characters more)");
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(counted(1, "step"), "1 step");
        assert_eq!(counted(0, "step"), "0 steps");
    }

    #[test]
    fn things_that_are_not_listed_are_counted() {
        assert_eq!(first_of(&[1, 2], 2), "1, 2");
        assert_eq!(first_of(&[1, 2, 3, 4], 2), "1, 2 and 2 more");
        assert_eq!(name_list(["a", "b\nc"]), "`a`, `b␊c`");
    }
}
