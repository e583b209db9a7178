//! Diagnostics as text for people: the message, the place, the line with the place underlined, and what to do.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as Heading, Origin, Renderer, Snippet};

use crate::diagnostics::{Code, Diagnostic, Diagnostics, Level};
use crate::palette;
use crate::source::{Lines, Position, Source, Span};
use crate::visible::one_line;

/// How many columns of a line are shown; a minified document is one long line.
const WIDTH: usize = 120;

/// How many bytes on each side of a place are looked at: a character has at most four.
const NEIGHBOURHOOD: usize = 4 * WIDTH;

impl Diagnostics {
    /// The diagnostics as text for people, each with a part of the source in which its place is underlined.
    #[must_use]
    pub fn render(&self, source: &Source, color: bool) -> String {
        let text = source.shown();
        let lines = Lines::of(&text);
        let renderer = if color { coloured() } else { Renderer::plain() }.term_width(WIDTH);
        let block = |group: Group<'_>| format!("{}\n", renderer.render(&[group]));
        let shown = self.iter().map(|one| without_empty_place(block(told(one, source, &lines)), color));
        let left_out = self.left_out().map(|(code, count)| {
            let head = heading(self.level_of(code)).primary_title(format!("{count} more of these"));
            block(Group::with_title(head.id(number(code))))
        });
        shown.chain(left_out).collect::<Vec<_>>().join("\n")
    }
}

fn coloured() -> Renderer {
    Renderer::styled()
        .error(palette::ERROR)
        .warning(palette::WARNING)
        .help(palette::HINT)
        .line_num(palette::PLACE)
        .context(palette::PLACE)
        .emphasis(palette::MESSAGE)
}

fn told<'d>(diagnostic: &'d Diagnostic, source: &'d Source, lines: &Lines<'_>) -> Group<'d> {
    let title = heading(diagnostic.level).primary_title(one_line(&diagnostic.message)).id(number(diagnostic.code));
    let name = source.name.as_str();
    let help = diagnostic.help.as_deref().map(|help| Heading::HELP.message(one_line(help)));
    let Some(span) = diagnostic.span else {
        let origin = match diagnostic.position {
            Some(Position { line, column }) => Origin::path(name).line(line).char_column(column),
            None => Origin::path(format!("{name} at {}", diagnostic.path)),
        };
        return title.element(origin).elements(help);
    };
    let position = diagnostic.position.unwrap_or_else(|| lines.position(span.start));
    let excerpt = Excerpt::of(lines, position, span);
    let mark = AnnotationKind::Primary.span(excerpt.marked).label(diagnostic.label.as_deref().map(one_line));
    let snippet = Snippet::source(excerpt.text).line_start(position.line).annotation(mark);
    if excerpt.is_whole {
        return title.element(snippet.path(name)).elements(help);
    }
    // The column cannot be counted in a part of the line, so the place is told apart from the excerpt.
    title.element(Origin::path(name).line(position.line).char_column(position.column)).element(snippet).elements(help)
}

/// The block without the line that the library draws before an excerpt that follows a place: it has a mark for a second
/// file, and no name behind it.
fn without_empty_place(block: String, color: bool) -> String {
    let mark = if color { format!("{}::: {:#}", palette::PLACE, palette::PLACE) } else { "::: ".to_owned() };
    let is_empty_place = |line: &str| line.trim_start() == mark;
    if !block.lines().any(is_empty_place) {
        return block;
    }
    block.lines().filter(|line| !is_empty_place(line)).flat_map(|line| [line, "\n"]).collect()
}

/// The part of a line around a place.
struct Excerpt {
    text: String,
    marked: Range<usize>,
    /// Whether it begins at the start of the line.
    is_whole: bool,
}

impl Excerpt {
    fn of(lines: &Lines<'_>, position: Position, span: Span) -> Self {
        let bytes = lines.line(position.line);
        let start = span.start.saturating_sub(lines.start(position.line)).min(bytes.len());
        let end = (start + (span.end - span.start)).min(bytes.len()).min(start + NEIGHBOURHOOD);
        let from = start.saturating_sub(NEIGHBOURHOOD);
        let to = bytes.len().min(end + NEIGHBOURHOOD);
        let shown = |part: &[u8]| String::from_utf8_lossy(part).chars().map(visible).collect::<String>();
        let (before, marked, after) = (shown(&bytes[from..start]), shown(&bytes[start..end]), shown(&bytes[end..to]));
        let range = before.len()..before.len() + marked.trim_end().len();
        Self { text: format!("{before}{marked}{after}"), marked: range, is_whole: from == 0 }
    }
}

/// The rendering library shows most control characters as pictures; this replaces the others.
fn visible(character: char) -> char {
    if character.is_control() && character != '\t' { '\u{fffd}' } else { character }
}

fn heading(level: Level) -> Heading<'static> {
    match level {
        Level::Warning => Heading::WARNING.with_name(level.word()),
        Level::Error | Level::Fatal => Heading::ERROR.with_name(level.word()),
    }
}

fn number(code: Code) -> String {
    code.number().to_string()
}
