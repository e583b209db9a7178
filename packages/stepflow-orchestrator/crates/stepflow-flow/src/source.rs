//! A document before it is read: its bytes, its name for diagnostics, its format; and the line and column of each byte.

use std::borrow::Cow;
use std::path::Path;

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The most values of a flow document; each scalar, array and object counts: 10 000 steps of 40. Data, such as a run's
/// input, is limited only by its bytes.
pub const MAX_NODES: usize = 400_000;

/// A document as it came from a file or a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Shown in diagnostics, usually the path of the file.
    pub name: String,
    /// The document's bytes.
    pub text: Vec<u8>,
    /// How to read them.
    pub format: Format,
    /// Parts that are never shown: secrets that are written into the document.
    pub hidden: Vec<Span>,
}

impl Source {
    /// A document that may be shown as a whole.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>, format: Format) -> Self {
        Self { name: name.into(), text: text.into(), format, hidden: Vec::new() }
    }

    /// A document in YAML.
    #[must_use]
    pub fn yaml(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self::new(name, text, Format::Yaml)
    }

    /// A document in JSON.
    #[must_use]
    pub fn json(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self::new(name, text, Format::Json)
    }

    /// The text as it may be shown: with a `*` for each hidden character. Every line keeps its place.
    pub(crate) fn shown(&self) -> Cow<'_, [u8]> {
        if self.hidden.is_empty() {
            return Cow::Borrowed(&self.text);
        }
        let mut shown = self.text.clone();
        for span in &self.hidden {
            let end = span.end.min(shown.len());
            let part = shown.get_mut(span.start..end).unwrap_or_default();
            part.iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = b'*');
        }
        Cow::Owned(shown)
    }
}

/// The notation of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML 1.2 with the core schema.
    Yaml,
    /// JSON, strictly.
    Json,
}

impl Format {
    /// The format by the name of a file: JSON for `.json`, YAML for everything else (almost all JSON is YAML).
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(extension) if extension.eq_ignore_ascii_case("json") => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// A part of a document, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// From the first byte to before the second.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// From the start of this part to the end of another one.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self::new(self.start, other.end)
    }
}

/// A place as people and editors count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// The character of the line, counted from 1.
    pub column: usize,
}

/// Where the lines of a document begin.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn of(text: &'a [u8]) -> Self {
        let mut starts = vec![if text.starts_with(BOM) { BOM.len() } else { 0 }];
        for (at, byte) in text.iter().enumerate() {
            if *byte == b'\n' || (*byte == b'\r' && text.get(at + 1) != Some(&b'\n')) {
                starts.push(at + 1);
            }
        }
        Self { text, starts }
    }

    pub fn position(&self, byte: usize) -> Position {
        self.position_after(byte, None).1
    }

    /// The position of a byte, together with the byte. The result for an earlier byte of the same line makes counting
    /// shorter: a minified document is one long line.
    pub fn position_after(&self, byte: usize, before: Option<(usize, Position)>) -> (usize, Position) {
        let byte = byte.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte).max(1);
        let (from, column) = match before {
            Some((earlier, position)) if position.line == line && earlier <= byte => (earlier, position.column),
            _ => (self.start(line), 1),
        };
        let between = self.text.get(from..byte).unwrap_or_default();
        (byte, Position { line, column: column + String::from_utf8_lossy(between).chars().count() })
    }

    /// The bytes of a line, counted from 1, without its line break.
    pub fn line(&self, line: usize) -> &'a [u8] {
        let start = self.starts.get(line - 1).copied().unwrap_or(self.text.len());
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        let text = self.text.get(start..end).unwrap_or_default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        text.strip_suffix(b"\r").unwrap_or(text)
    }

    /// The byte at which a line, counted from 1, begins.
    pub fn start(&self, line: usize) -> usize {
        self.starts.get(line - 1).copied().unwrap_or(self.text.len())
    }
}

/// The byte order mark that some editors put before UTF-8 text.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";
