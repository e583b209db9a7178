//! Makes control characters visible in texts that come from outside, so that they cannot move the cursor, ring the bell
//! or change the direction of writing.

use std::borrow::Cow;

/// The text with visible control characters. Line breaks and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    made_visible(text, is_control, &[])
}

/// The same, but these sequences stay as they are: our own colours.
#[must_use]
pub fn visible_except<'t>(text: &'t str, ours: &[&str]) -> Cow<'t, str> {
    made_visible(text, is_control, ours)
}

/// The text of a name, on one line: line breaks and tabs are made visible, too. Otherwise the rest of the name would
/// look like a line of ours. Every name that is shown to a person goes through this.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    made_visible(text, |character| is_control(character) || breaks_line(character), &[])
}

/// A name in backticks, on one line.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("`{}`", one_line(name))
}

fn made_visible<'t>(text: &'t str, is_hidden: fn(char) -> bool, ours: &[&str]) -> Cow<'t, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(is_hidden) {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        let kept = ours.iter().find(|sequence| rest.starts_with(**sequence)).map(|sequence| sequence.len());
        let length = kept.unwrap_or_else(|| rest.chars().next().map_or(0, char::len_utf8));
        match kept {
            Some(length) => shown.push_str(&rest[..length]),
            None => shown.extend(rest.chars().next().map(symbol)),
        }
        rest = &rest[length..];
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Whether a terminal obeys this character instead of showing it.
fn is_control(character: char) -> bool {
    let changes_direction =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    changes_direction || character.is_control() && !matches!(character, '\n' | '\t')
}

/// Whether a text with this character takes more than its place in a line.
fn breaks_line(character: char) -> bool {
    matches!(character, '\n' | '\t' | '\u{2028}' | '\u{2029}')
}

/// The symbol of a control character: `␛` for ESC; `�` for one that has none.
fn symbol(character: char) -> char {
    match u32::from(character) {
        code @ ..0x20 => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}'),
        0x7f => '\u{2421}',
        _ => '\u{fffd}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (text, shown) in [
            ("plain é\n\tas it is", "plain é\n\tas it is"),
            ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
            ("over\rwritten\x08\x7f\0", "over␍written␈␡␀"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("ab\u{202e}cd", "ab\u{fffd}cd"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn a_name_stays_on_its_line() {
        for (name, shown) in [
            ("clean data", "clean data"),
            ("a\nerror: b", "a␊error: b"),
            ("a\r\n\tb\x1b[2J", "a␍␊␉b␛[2J"),
            ("a\u{85}b\u{2028}c", "a\u{fffd}b\u{fffd}c"),
        ] {
            assert_eq!(one_line(name), shown);
        }
    }

    #[test]
    fn our_own_colours_stay() {
        assert_eq!(
            visible_except("\x1b[1;31merror\x1b[0m \x1b[8m", &["\x1b[1;31m", "\x1b[0m"]),
            "\x1b[1;31merror\x1b[0m ␛[8m"
        );
    }
}
