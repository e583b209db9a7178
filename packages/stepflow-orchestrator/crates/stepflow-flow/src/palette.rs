//! The colours of messages to people, for diagnostics and for everything else.

use annotate_snippets::renderer::{AnsiColor, Effects, Style};

/// Something is wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// Something that may go wrong.
pub const WARNING: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);

/// What to do.
pub const HINT: Style = AnsiColor::Cyan.on_default().effects(Effects::BOLD);

/// Something went well.
pub const SUCCESS: Style = AnsiColor::Green.on_default();

/// A place in a document.
pub const PLACE: Style = AnsiColor::Blue.on_default().effects(Effects::BOLD);

/// Less important than the text around it.
pub const FAINT: Style = Style::new().effects(Effects::DIMMED);

/// What a diagnostic says.
pub const MESSAGE: Style = Style::new().effects(Effects::BOLD);

/// The control sequences for these colours.
pub const SEQUENCES: [&str; 8] =
    ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[36m"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_colours_are_made_of_these_sequences() {
        for style in [ERROR, WARNING, HINT, SUCCESS, PLACE, FAINT, MESSAGE] {
            let written = format!("{style}{style:#}");
            let rest = SEQUENCES.iter().fold(written, |text, sequence| text.replace(sequence, ""));
            assert_eq!(rest, "");
        }
    }
}
