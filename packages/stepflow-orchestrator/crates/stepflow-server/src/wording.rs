//! How messages word what many of them need: a text that is too long, a count, a list of names, a time of the
//! configuration.

use std::fmt::Display;
use std::time::Duration;

use stepflow_flow::visible::quoted;
use stepflow_store::sqlite::Retention;

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

/// A time in the largest unit in which it is a whole number: `30 d`, `36 h`.
pub fn span(time: Duration) -> String {
    const UNITS: [(u128, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let milliseconds = time.as_millis();
    let whole = |(unit, _): &&(u128, &str)| milliseconds >= *unit && milliseconds.is_multiple_of(*unit);
    match UNITS.iter().find(whole) {
        Some((unit, name)) => format!("{} {name}", milliseconds / unit),
        None => "0 s".to_owned(),
    }
}

/// What is deleted when; nothing when everything is kept.
pub fn retention(kept: &Retention) -> Option<String> {
    match (kept.runs, kept.keep_failed) {
        (Some(runs), None) => Some(format!("finished runs are deleted after {}", span(runs))),
        (Some(runs), Some(failed)) => {
            Some(format!("finished runs are deleted after {}, and failed ones after {}", span(runs), span(failed)))
        }
        (None, Some(failed)) => Some(format!("failed runs are deleted after {}", span(failed))),
        (None, None) => None,
    }
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
    fn a_time_is_in_the_largest_unit_that_fits() {
        let of = |seconds: u64| span(Duration::from_secs(seconds));
        assert_eq!([of(0), of(30), of(90), of(3_600), of(36 * 3_600)], ["0 s", "30 s", "90 s", "1 h", "36 h"]);
        assert_eq!((of(30 * 86_400), span(Duration::from_millis(1_500))), ("30 d".to_owned(), "1500 ms".to_owned()));
    }

    #[test]
    fn things_that_are_not_listed_are_counted() {
        assert_eq!(first_of(&[1, 2], 2), "1, 2");
        assert_eq!(first_of(&[1, 2, 3, 4], 2), "1, 2 and 2 more");
        assert_eq!(name_list(["a", "b\nc"]), "`a`, `b␊c`");
    }
}
