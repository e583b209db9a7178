//! Diagnostics for people: the message, the place, the line with the place underlined, and what to do.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, Level};
use crate::source::{Lines, Position, Source, Span};

/// The most columns of a line that are shown; a minified document is one long line.
const WIDTH: usize = 120;

/// Columns shown before the underlined part when a line is cut.
const LEAD: usize = 40;

impl Diagnostics {
    /// The diagnostics for people: each with an excerpt of the source in which its place is underlined.
    #[must_use]
    pub fn render(&self, source: &Source, color: bool) -> String {
        let lines = Lines::of(&source.text);
        let paint = Paint { color };
        let mut blocks: Vec<String> = self.iter().map(|one| block(one, source, &lines, paint)).collect();
        let left_out = self.left_out();
        blocks.extend(
            left_out.map(|(code, count)| format!("{} {count} more of these\n", head(self.level_of(code), code, paint))),
        );
        blocks.join("\n")
    }
}

fn block(diagnostic: &Diagnostic, source: &Source, lines: &Lines<'_>, paint: Paint) -> String {
    let mut text =
        format!("{} {}\n", head(diagnostic.level, diagnostic.code, paint), paint.over(Tint::Bold, &diagnostic.message));
    let Some(span) = diagnostic.span else {
        let place = match diagnostic.position {
            Some(Position { line, column }) => format!("{}:{line}:{column}", source.name),
            None => format!("{} at {}", source.name, diagnostic.path),
        };
        text.push_str(&format!("  {} {place}\n", paint.over(Tint::Blue, "-->")));
        return with_help(text, diagnostic, paint);
    };
    let position = diagnostic.position.unwrap_or_else(|| lines.position(span.start));
    let gutter = position.line.to_string().len();
    let (arrow, bar) = (paint.over(Tint::Blue, "-->"), paint.over(Tint::Blue, "|"));
    let number = paint.over(Tint::Blue, &format!("{:>gutter$}", position.line));
    let space = " ".repeat(gutter);
    let excerpt = Excerpt::of(lines, position, span);
    let label = diagnostic.label.as_ref().map(|label| format!(" {label}")).unwrap_or_default();
    let mark = paint.over(tint_of(diagnostic.level), &format!("{}{label}", "^".repeat(excerpt.width)));
    text.push_str(&format!("{space}{arrow} {}:{}:{}\n", source.name, position.line, position.column));
    text.push_str(&format!("{space} {bar}\n"));
    text.push_str(format!("{number} {bar} {}", excerpt.text).trim_end());
    text.push_str(&format!("\n{space} {bar} {}{mark}\n", " ".repeat(excerpt.before)));
    if diagnostic.help.is_some() {
        text.push_str(&format!("{space} {bar}\n"));
    }
    with_help(text, diagnostic, paint)
}

/// What a diagnostic begins with, such as `error[3010]`.
fn head(level: Level, code: Code, paint: Paint) -> String {
    paint.over(tint_of(level), &format!("{}[{}]", level.word(), code.number()))
}

fn tint_of(level: Level) -> Tint {
    match level {
        Level::Warning => Tint::Yellow,
        Level::Error | Level::Fatal => Tint::Red,
    }
}

fn with_help(mut text: String, diagnostic: &Diagnostic, paint: Paint) -> String {
    if let Some(help) = &diagnostic.help {
        text.push_str(&format!("{} {help}\n", paint.over(Tint::Cyan, "help:")));
    }
    text
}

/// A line of the document as a terminal shows it.
struct Excerpt {
    text: String,
    /// Columns before the underlined part.
    before: usize,
    /// Columns of the underlined part, at least one.
    width: usize,
}

impl Excerpt {
    fn of(lines: &Lines<'_>, position: Position, span: Span) -> Self {
        let bytes = lines.line(position.line);
        let start = span.start.saturating_sub(lines.start(position.line)).min(bytes.len());
        let end = (start + (span.end - span.start)).min(bytes.len());
        let shown = |part: &[u8]| String::from_utf8_lossy(part).chars().map(visible).collect::<String>();
        // Of a very long line only the neighbourhood is looked at: four bytes are the longest character.
        let from = start.saturating_sub(WIDTH * 4);
        let to = bytes.len().min(end.min(start + WIDTH * 4) + WIDTH * 4);
        let end = end.min(to);
        let (mut before, marked, after) =
            (shown(&bytes[from..start]), shown(&bytes[start..end]), shown(&bytes[end..to]));
        let long = from > 0 || columns(&before) + columns(&marked) + columns(&after) > WIDTH;
        let cut = before.chars().count().saturating_sub(LEAD);
        if long && cut > 0 {
            before = format!("…{}", before.chars().skip(cut).collect::<String>());
        }
        let before_width = columns(&before);
        let room = WIDTH.saturating_sub(before_width);
        let whole = format!("{before}{marked}{after}");
        let text = match columns(&whole) > WIDTH {
            true => format!("{}…", whole.chars().take(before.chars().count() + room).collect::<String>()),
            false => whole,
        };
        let width = columns(marked.trim_end()).min(room).max(1);
        Self { text, before: before_width, width }
    }
}

/// A character that takes the columns which `columns` counts for it.
fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

/// The columns that a terminal gives to a text.
fn columns(text: &str) -> usize {
    text.chars().map(|character| if is_wide(character) { 2 } else { 1 }).sum()
}

/// Whether a character takes two columns: East Asian scripts and emoji.
fn is_wide(character: char) -> bool {
    matches!(u32::from(character),
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1F64F | 0x1F680..=0x1F6FF | 0x1F900..=0x1F9FF
        | 0x20000..=0x3FFFD)
}

#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

#[derive(Clone, Copy)]
enum Tint {
    Red,
    Yellow,
    Blue,
    Cyan,
    Bold,
}

impl Paint {
    fn over(self, tint: Tint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match tint {
            Tint::Red => "1;31",
            Tint::Yellow => "1;33",
            Tint::Blue => "1;34",
            Tint::Cyan => "1;36",
            Tint::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
