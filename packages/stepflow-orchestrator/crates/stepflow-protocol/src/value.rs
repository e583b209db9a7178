//! JSON as it came: the bytes are checked once, where they enter, and after that shared, sliced and passed on
//! unparsed. So integers, key order and number spelling survive every hop.

mod access;
mod canonical;
mod ingress;
mod serde_impls;

use std::fmt;
use std::sync::Arc;

pub use access::Segment;
pub use ingress::{MAX_DEPTH, ValueError};
use serde_json::value::RawValue;

/// A JSON value: its text, known to be valid, free of line breaks between tokens and nested at most [`MAX_DEPTH`] deep.
/// One that is built of others may be nested deeper: code that builds one of unknown parts asks for its
/// [depth](Value::depth), and fails by name.
///
/// Clones share the text. Equal text is the same value; equal values may have different text (`1.0` and `1e0`).
#[derive(Clone)]
pub struct Value {
    buffer: Arc<String>,
    start: usize,
    end: usize,
}

/// The JSON type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, of any spelling.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// The type's name in JSON Schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

impl Value {
    /// Checks a text that comes from outside and takes it as a value.
    ///
    /// # Errors
    /// When the text is not UTF-8, not exactly one JSON value, nested deeper than [`MAX_DEPTH`], or when a key stands
    /// twice in an object.
    pub fn parse(text: impl Into<Vec<u8>>) -> Result<Self, ValueError> {
        ingress::check(text.into()).map(Self::trusted)
    }

    /// Checks the params of a message. The levels that they put around the values in them do not count as the values'
    /// own; each of those is checked for itself when it is read out.
    ///
    /// # Errors
    /// As [`Value::parse`].
    pub fn parse_params(text: impl Into<Vec<u8>>) -> Result<Self, ValueError> {
        ingress::check_params(text.into()).map(Self::trusted)
    }

    /// Takes a text of which serde has checked that it is JSON.
    ///
    /// # Errors
    /// When a key stands twice in an object, the text is nested deeper than [`MAX_DEPTH`], or a string holds half of a
    /// surrogate pair.
    pub fn of_raw(raw: Box<RawValue>) -> Result<Self, ValueError> {
        let packed = ingress::check_raw(raw.get())?;
        Ok(Self::trusted(packed.unwrap_or_else(|| Box::<str>::from(raw).into())))
    }

    /// `null`
    #[must_use]
    pub fn null() -> Self {
        Self::trusted("null".to_owned())
    }

    /// A string.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let mut quoted = String::with_capacity(text.len() + 2);
        access::push_string(&mut quoted, text);
        Self::trusted(quoted)
    }

    /// An array of these values.
    #[must_use]
    pub fn array(elements: impl IntoIterator<Item = Self>) -> Self {
        let mut text = String::from("[");
        for (index, element) in elements.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(element.as_str());
        }
        text.push(']');
        Self::trusted(text)
    }

    /// An object with these members, in this order.
    #[must_use]
    pub fn object<K: AsRef<str>>(members: impl IntoIterator<Item = (K, Self)>) -> Self {
        let mut text = String::from("{");
        for (index, (key, value)) in members.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            access::push_string(&mut text, key.as_ref());
            text.push(':');
            text.push_str(value.as_str());
        }
        text.push('}');
        Self::trusted(text)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.buffer[self.start..self.end]
    }

    /// The JSON text's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }

    /// The length of the text, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.end - self.start
    }

    /// How deep arrays and objects are nested in it. More than [`MAX_DEPTH`] only where one was built of others.
    #[must_use]
    pub fn depth(&self) -> usize {
        ingress::depth(self.as_bytes())
    }

    /// The JSON type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.as_bytes().first() {
            Some(b'n') | None => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            Some(_) => Kind::Number,
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The truth value of a boolean; `None` for every other type.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// Takes a text that is known to be a valid value: built here, or checked at ingress.
    fn trusted(text: String) -> Self {
        let end = text.len();
        Self { buffer: Arc::new(text), start: 0, end }
    }

    /// The part of this value's text that is `part`, which must borrow from it. Shares the buffer when that does
    /// not keep more than twice the part alive, else copies.
    fn part(&self, part: &str) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(self.buffer.as_ptr() as usize);
        let end = start.wrapping_add(part.len());
        if part.len() * 2 >= self.buffer.len() && self.buffer.get(start..end) == Some(part) {
            Self { buffer: Arc::clone(&self.buffer), start, end }
        } else {
            Self::trusted(part.to_owned())
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::trusted(truth.to_string())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::trusted(number.to_string())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::trusted(number.to_string())
    }
}
