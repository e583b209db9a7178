//! Reads strict JSON, with the place of every value and key.

use stepflow_protocol::MAX_DEPTH;

use super::{HALF_A_PAIR, Members, Reporter, Stop, after_mark};
use crate::diagnostics::Code;
use crate::node::{Content, Entry, Node};
use crate::number;
use crate::path::{Path, Segment};
use crate::source::Span;

pub(super) fn read(text: &str, report: Reporter<'_>) -> Option<Node> {
    let mut reader = JsonReader { text, at: after_mark(text), depth: 0, path: Path::root(), report };
    reader.document().ok()
}

struct JsonReader<'t, 'd> {
    text: &'t str,
    at: usize,
    depth: usize,
    path: Path,
    report: Reporter<'d>,
}

impl JsonReader<'_, '_> {
    fn document(&mut self) -> Result<Node, Stop> {
        let node = self.value()?;
        self.skip_space();
        if self.at < self.text.len() {
            return self.stop("expected the end of the document");
        }
        Ok(node)
    }

    fn value(&mut self) -> Result<Node, Stop> {
        self.skip_space();
        let start = self.at;
        let first = Span::new(start, (start + 1).min(self.text.len()));
        self.report.count(1, || self.path.clone(), first)?;
        let content = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Content::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Content::Bool(true))?,
            Some(b'f') => self.word("false", Content::Bool(false))?,
            Some(b'n') => self.word("null", Content::Null)?,
            Some(b'\'') => return self.stop("a JSON string has double quotes"),
            Some(b'/' | b'#') => return self.stop("JSON has no comments"),
            _ => return self.stop("expected a JSON value"),
        };
        Ok(Node { span: Span::new(start, self.at), content })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Content, Stop>) -> Result<Content, Stop> {
        if self.depth == MAX_DEPTH {
            self.report.too_deep(&self.path, Span::new(self.at, self.at + 1));
            return Err(Stop);
        }
        self.depth += 1;
        self.at += 1;
        let content = read(self)?;
        self.depth -= 1;
        Ok(content)
    }

    fn object(&mut self) -> Result<Content, Stop> {
        let mut members = Members::default();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Content::Object(members.entries));
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return self.stop("expected a key in double quotes");
            }
            let key = self.string()?;
            let key_span = Span::new(start, self.at);
            self.skip_space();
            if !self.take(b':') {
                return self.stop("expected `:` after the key");
            }
            self.path.push(Segment::Field(key.clone()));
            let value = self.value()?;
            if members.contains(&key) {
                self.report.duplicate(&self.path, &key, key_span);
            } else {
                members.push(Entry { key, key_span, value });
            }
            self.path.pop();
            if self.take_end_or_comma(b'}')? {
                return Ok(Content::Object(members.entries));
            }
        }
    }

    fn array(&mut self) -> Result<Content, Stop> {
        let mut elements = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Content::Array(elements));
        }
        loop {
            self.path.push_index(elements.len());
            elements.push(self.value()?);
            self.path.pop();
            if self.take_end_or_comma(b']')? {
                return Ok(Content::Array(elements));
            }
        }
    }

    /// Whether the collection ends here, and does not go on with a comma.
    fn take_end_or_comma(&mut self, bracket: u8) -> Result<bool, Stop> {
        self.skip_space();
        if self.take(bracket) {
            return Ok(true);
        }
        let comma = self.at;
        if !self.take(b',') {
            return self.stop(&format!("expected `,` or `{}`", char::from(bracket)));
        }
        self.skip_space();
        if self.peek() == Some(bracket) {
            self.at = comma;
            return self.stop("JSON has no comma after the last member");
        }
        Ok(false)
    }

    fn string(&mut self) -> Result<String, Stop> {
        let start = self.at;
        let mut end = start + 1;
        loop {
            match self.text.as_bytes().get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(b'\n' | b'\r') | None => {
                    self.report.report(
                        Code::InvalidSyntax,
                        &self.path,
                        Span::new(start, end.min(self.text.len())),
                        "the string has no closing quote",
                    );
                    return Err(Stop);
                }
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        // These bytes are ASCII, so both ends are between characters.
        let quoted = &self.text[start..self.at];
        let inner = &quoted[1..quoted.len() - 1];
        if !inner.bytes().any(|byte| byte == b'\\' || byte < b' ') {
            return Ok(inner.to_owned());
        }
        serde_json::from_str(quoted).map_err(|_| {
            let message = match has_half_a_pair(inner) {
                true => HALF_A_PAIR,
                false => "the string has an invalid escape or a control character",
            };
            self.report.report(Code::InvalidSyntax, &self.path, Span::new(start, self.at), message);
            Stop
        })
    }

    fn number(&mut self) -> Result<Content, Stop> {
        let start = self.at;
        let in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        self.at += self.text.as_bytes()[start..].iter().take_while(|byte| in_number(byte)).count();
        let (text, span) = (&self.text[start..self.at], Span::new(start, self.at));
        if !is_number(text) {
            self.report.report(Code::InvalidSyntax, &self.path, span, format!("`{text}` is not a JSON number"));
            return Err(Stop);
        }
        Ok(Content::Number(number::canonical(text).unwrap_or_else(|number::TooLarge| {
            self.report.too_large(&self.path, span, text);
            "0".to_owned()
        })))
    }

    fn word(&mut self, word: &str, content: Content) -> Result<Content, Stop> {
        let rest = &self.text[self.at..];
        let length = rest.find(|next: char| !next.is_alphanumeric()).unwrap_or(rest.len());
        if &rest[..length] != word {
            return self.stop("expected a JSON value; strings have double quotes");
        }
        self.at += length;
        Ok(content)
    }

    fn skip_space(&mut self) {
        let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.text.as_bytes()[self.at..].iter().take_while(space).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Reports that something else is expected here.
    fn stop<T>(&mut self, message: &str) -> Result<T, Stop> {
        let length = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        let span = Span::new(self.at, self.at + length);
        let message = if length == 0 { format!("{message}, but the document ends here") } else { message.to_owned() };
        self.report.report(Code::InvalidSyntax, &self.path, span, message);
        Err(Stop)
    }
}

/// Whether an escape of the string is half of a surrogate pair.
fn has_half_a_pair(inner: &str) -> bool {
    let mut rest = inner;
    while let Some((_, escape)) = rest.split_once('\\') {
        rest = match (unit(escape), escape.get(5..)) {
            (Some(0xD800..0xDC00), Some(after)) => match after.strip_prefix('\\').map(|next| (unit(next), next)) {
                Some((Some(0xDC00..0xE000), next)) => &next[5..],
                _ => return true,
            },
            (Some(0xDC00..0xE000), _) => return true,
            _ => escape.get(1..).unwrap_or_default(),
        };
    }
    false
}

/// The code unit of an escape such as `u00e9`, without its backslash.
fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix('u')?.get(..4)?, 16).ok()
}

/// `-? ( 0 | [1-9][0-9]* ) ( \. [0-9]+ )? ( [eE] [-+]? [0-9]+ )?`
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}
