//! The layout of a text: which edits move its parts and leave the rest as it is written.

use super::{Edit, Member};
use crate::source::Span;

/// A text whose parts are moved.
#[derive(Clone, Copy)]
pub(super) struct Layout<'t> {
    pub text: &'t str,
}

/// How far the members of a new object are indented.
const INDENT: usize = 2;

pub(super) fn edit(span: Span, replacement: String) -> Edit {
    Edit { span, replacement }
}

pub(super) fn insertion(at: usize, text: String) -> Edit {
    edit(Span::new(at, at), text)
}

impl Layout<'_> {
    /// A key or a word without its quotes.
    pub fn word(self, at: Span) -> Option<String> {
        let written = self.text.get(at.start..at.end)?;
        Some(written.trim_matches(['"', '\'']).to_owned())
    }

    /// A name, quoted in the same way as what stands here.
    pub fn quoted_like(self, at: Span, name: &str) -> Option<String> {
        let written = self.text.get(at.start..at.end)?;
        Some(match written.chars().next()? {
            quote @ ('"' | '\'') => format!("{quote}{name}{quote}"),
            _ => name.to_owned(),
        })
    }

    /// The edits that put a member into new objects.
    pub fn nested(self, key: Span, value: Span, keys: &[&str]) -> Option<Vec<Edit>> {
        let names = keys.iter().map(|name| self.quoted_like(key, name)).collect::<Option<Vec<String>>>()?;
        let Some(column) = self.column(key).filter(|_| !self.is_braced()) else {
            let braces = "}".repeat(keys.len() - 1);
            return Some(vec![edit(key, names.join(": {")), insertion(value.end, braces)]);
        };
        let mut edits = vec![edit(key, self.on_lines(&names, column, self.line_break(key)))];
        edits.extend(self.indented(self.line_after(key.end), value.end, INDENT * (keys.len() - 1)));
        Some(edits)
    }

    /// The edits that put members, from the first key to the last value, into a new object.
    pub fn gathered(self, first: Span, last: Span, key: &str) -> Option<Vec<Edit>> {
        let name = self.quoted_like(first, key)?;
        let Some(column) = self.column(first).filter(|_| !self.is_braced()) else {
            return Some(vec![insertion(first.start, format!("{name}: {{")), insertion(last.end, "}".to_owned())]);
        };
        let begin = self.line_of(first.start);
        let head = format!("{}{name}:{}", " ".repeat(column), self.line_break(first));
        let mut edits = self.indented(begin, last.end, INDENT);
        let first_line = edits.first_mut()?;
        first_line.replacement.insert_str(0, &head);
        Some(edits)
    }

    /// The edits that move a member after the last one (key and value) of another object.
    pub fn moved(self, member: &Member, behind: (Span, Span), keys: &[&str]) -> Option<Vec<Edit>> {
        let (key, value) = behind;
        let names = keys.iter().map(|name| self.quoted_like(key, name)).collect::<Option<Vec<String>>>()?;
        let in_line = self.line_of(member.key.end) == self.line_of(member.value.start);
        let written = self.text.get(member.key.end..member.value.end)?;
        let in_braces = self.between_braces(key, value);
        let there = match (in_braces, self.column(key)) {
            (true, _) => {
                in_line.then_some(())?;
                let braces = "}".repeat(keys.len() - 1);
                insertion(value.end, format!(", {}{written}{braces}", names.join(": {")))
            }
            (false, Some(column)) => {
                let line_break = self.line_break(member.key);
                let by = column + INDENT * (keys.len() - 1) - self.column(member.key)?.min(column);
                let rest = self.text.get(member.value.end..self.end_of_line(member.value.end))?;
                let body = format!("{written}{rest}").trim_end_matches(['\r', '\n']).to_owned();
                let body = body.replace('\n', &format!("\n{}", " ".repeat(by)));
                let head = self.on_lines(&names, column, line_break);
                let end = self.end_of_line(value.end);
                let before = if self.text[..end].ends_with('\n') { "" } else { line_break };
                insertion(end, format!("{before}{}{head}{body}{line_break}", " ".repeat(column)))
            }
            (false, None) => return None,
        };
        Some(vec![there, self.without(member)?])
    }

    /// The edit that removes a member: with its comma, or with its lines.
    pub fn without(self, member: &Member) -> Option<Edit> {
        if self.text[member.object.start..].starts_with('{') {
            return Some(edit(member.with_comma, String::new()));
        }
        self.column(member.key)?;
        let lines = Span::new(self.line_of(member.key.start), self.end_of_line(member.value.end));
        Some(edit(lines, String::new()))
    }

    /// The keys of nested objects, one on each line; the first begins in this column.
    fn on_lines(self, names: &[String], column: usize, line_break: &str) -> String {
        let mut text = String::new();
        for (depth, name) in names.iter().enumerate() {
            if depth > 0 {
                text.push_str(&format!(":{line_break}{}", " ".repeat(column + INDENT * depth)));
            }
            text.push_str(name);
        }
        text
    }

    /// Indents the lines that begin in this part of the text.
    fn indented(self, begin: usize, end: usize, by: usize) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut line = begin;
        while line < end {
            if !self.text[line..].starts_with(['\n', '\r']) {
                edits.push(insertion(line, " ".repeat(by)));
            }
            line = self.line_after(line);
        }
        edits
    }

    /// Whether the last member of an object is inside braces: then a closing brace follows it.
    fn between_braces(self, key: Span, value: Span) -> bool {
        let begins_line = self.column(key).is_some();
        let next = self.text[value.end..].trim_start().chars().next();
        self.is_braced() || !begins_line || matches!(next, Some('}' | ','))
    }

    /// Whether the whole document is inside braces.
    fn is_braced(self) -> bool {
        self.text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
    }

    /// The column of a key that is the first thing in its line.
    fn column(self, key: Span) -> Option<usize> {
        let before = self.text.get(self.line_of(key.start)..key.start)?;
        before.bytes().all(|byte| byte == b' ').then_some(before.len())
    }

    /// Where the line of this byte begins.
    fn line_of(self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |line_break| line_break + 1)
    }

    /// Where the line ends in which a value ends. A text of several lines ends where the next line begins.
    fn end_of_line(self, at: usize) -> usize {
        if self.text[..at].ends_with('\n') { at } else { self.line_after(at) }
    }

    /// Where the line after this byte begins.
    fn line_after(self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |line_break| at + line_break + 1)
    }

    fn line_break(self, at: Span) -> &'static str {
        let line = &self.text[at.end..self.line_after(at.end)];
        if line.ends_with("\r\n") { "\r\n" } else { "\n" }
    }
}
