//! Makes control characters visible in texts that come from outside, so that they cannot move the cursor, ring the bell
//! or change the direction of writing.

use std::borrow::Cow;

/// The text with visible control characters. Line breaks and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    made_visible(text, &[])
}

/// The same, but these sequences stay as they are: our own colours.
pub fn visible_except<'t>(text: &'t str, ours: &[&str]) -> Cow<'t, str> {
    made_visible(text, ours)
}

fn made_visible<'t>(text: &'t str, ours: &[&str]) -> Cow<'t, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(is_control) {
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
    fn our_own_colours_stay() {
        assert_eq!(
            visible_except("\x1b[1;31merror\x1b[0m \x1b[8m", &["\x1b[1;31m", "\x1b[0m"]),
            "\x1b[1;31merror\x1b[0m ␛[8m"
        );
    }
}
