//! Messages for people: on stderr, coloured only on a terminal and only when `NO_COLOR` is not set.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::sync::OnceLock;

use stepflow_flow::palette;

use stepflow_flow::visible::visible_except;

/// Writes a line. An error is ignored: when stderr is closed, there is no other place to report it.
pub fn line(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{}", shown(&text.to_string()));
}

/// The text without control characters that would move the cursor. Our own colours stay.
pub fn shown(text: &str) -> Cow<'_, str> {
    visible_except(text, if color() { &palette::SEQUENCES } else { &[] })
}

/// Whether colours are wanted.
pub fn color() -> bool {
    static COLOR: OnceLock<bool> = OnceLock::new();
    *COLOR.get_or_init(|| {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        stderr().is_terminal() && !refused && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    })
}

/// The meaning of a coloured word.
#[derive(Debug, Clone, Copy)]
pub enum Paint {
    /// Something went wrong.
    Error,
    /// Something that may go wrong.
    Warning,
    /// What to do.
    Hint,
    /// Something went well.
    Success,
    /// Less important than the text around it.
    Faint,
}

impl Paint {
    /// The word in its colour.
    pub fn on(self, word: impl Display) -> String {
        let style = match self {
            _ if !color() => return word.to_string(),
            Self::Error => palette::ERROR,
            Self::Warning => palette::WARNING,
            Self::Hint => palette::HINT,
            Self::Success => palette::SUCCESS,
            Self::Faint => palette::FAINT,
        };
        format!("{style}{word}{style:#}")
    }
}
