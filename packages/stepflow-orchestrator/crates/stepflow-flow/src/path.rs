//! Paths into JSON values (`$.a["b c"][0]`), in the small JSONPath subset of the language. Diagnostics use the same
//! type for their place in a document.

use std::fmt;

pub use stepflow_protocol::Segment;

/// The place of a part inside a value; empty for the value itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path(Vec<Segment>);

/// Raised when a text that starts with `$` is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct PathError {
    /// What is wrong, in one sentence.
    pub problem: String,
    /// The byte of the text at which it is wrong.
    pub offset: usize,
}

impl Path {
    /// The value itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path as authors write it. A text that does not start with `$` is one key, with all its characters.
    ///
    /// # Errors
    ///
    /// When a text that starts with `$` goes on with something that is neither a member nor an index.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let trimmed = text.trim();
        let Some(rest) = trimmed.strip_prefix('$') else {
            return Ok(if text.is_empty() { Self::root() } else { Self(vec![Segment::Field(text.to_owned())]) });
        };
        let mut reader = PathReader { whole: text, rest };
        let mut segments = Vec::new();
        while !reader.rest.is_empty() {
            segments.extend(reader.segment()?);
        }
        Ok(Self(segments))
    }

    /// The path's segments, from the outside in.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this is the value itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// This path and then a member.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.0.push(Segment::Field(name.into()));
        self
    }

    /// This path and then an element, counted from 0.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.push_index(index);
        self
    }

    /// This path and then another one.
    #[must_use]
    pub fn join(mut self, inside: &Self) -> Self {
        self.0.extend_from_slice(&inside.0);
        self
    }

    pub(crate) fn push(&mut self, segment: Segment) {
        self.0.push(segment);
    }

    pub(crate) fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index as u64));
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }
}

impl From<Vec<Segment>> for Path {
    fn from(segments: Vec<Segment>) -> Self {
        Self(segments)
    }
}

/// The canonical text: a member is written `.name` when that is unambiguous, else quoted as a JSON string.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Field(name) if is_plain(name) => write!(f, ".{name}"),
            Segment::Field(name) => write!(f, "[{}]", serde_json::Value::from(name.as_str())),
            Segment::Index(index) => write!(f, "[{index}]"),
        })
    }
}

fn is_plain(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|next| next.is_ascii_alphanumeric() || next == '_' || next == '-')
}

/// Reads the segments of a path, one after the other.
struct PathReader<'a> {
    whole: &'a str,
    rest: &'a str,
}

impl<'a> PathReader<'a> {
    /// The next segment; `None` for an empty name, which is skipped.
    fn segment(&mut self) -> Result<Option<Segment>, PathError> {
        if let Some(rest) = self.rest.strip_prefix('.') {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            self.rest = &rest[end..];
            return Ok((end > 0).then(|| Segment::Field(rest[..end].to_owned())));
        }
        let Some(inner) = self.rest.strip_prefix('[') else {
            return Err(self.error("after `$`, a member is written `.name` or `[\"name\"]` and an element `[0]`"));
        };
        let segment = match inner.chars().next() {
            Some('"') => self.quoted(inner)?,
            Some('\'') => self.single_quoted(inner)?,
            _ => self.element(inner)?,
        };
        self.rest = self.rest.strip_prefix(']').ok_or_else(|| self.error("expected `]`"))?;
        Ok(Some(segment))
    }

    fn quoted(&mut self, inner: &'a str) -> Result<Segment, PathError> {
        let mut strings = serde_json::Deserializer::from_str(inner).into_iter::<String>();
        match strings.next() {
            Some(Ok(name)) => {
                self.rest = &inner[strings.byte_offset()..];
                Ok(Segment::Field(name))
            }
            _ => Err(self.error("the quoted name is not a JSON string")),
        }
    }

    fn single_quoted(&mut self, inner: &'a str) -> Result<Segment, PathError> {
        let name = &inner[1..];
        let end = name.find('\'').ok_or_else(|| self.error("the quoted name has no closing `'`"))?;
        self.rest = &name[end + 1..];
        Ok(Segment::Field(name[..end].to_owned()))
    }

    fn element(&mut self, inner: &'a str) -> Result<Segment, PathError> {
        let end = inner.find(|next: char| !next.is_ascii_digit()).unwrap_or(inner.len());
        let index = inner[..end].parse().map_err(|_| {
            self.error("an element is a number counted from 0, such as `[0]`; a name in brackets is quoted")
        })?;
        self.rest = &inner[end..];
        Ok(Segment::Index(index))
    }

    fn error(&self, problem: &str) -> PathError {
        let offset = self.rest.as_ptr() as usize - self.whole.as_ptr() as usize;
        PathError { problem: problem.to_owned(), offset }
    }
}
