//! JSON as it came. The bytes are checked once, where they enter; after that they are shared, sliced and passed on
//! without parsing. So integers, the order of keys and the spelling of numbers never change.

mod access;
mod canonical;
mod ingress;
mod serde_impls;

use std::fmt;
use std::sync::Arc;

pub use access::Segment;
pub use ingress::{MAX_DEPTH, ValueError};
use serde_json::value::RawValue;

/// A JSON value: its text, known to be valid, without line breaks between tokens and nested at most [`MAX_DEPTH`] deep.
/// A value that is built from others may be nested deeper: code that builds one from unknown parts has to check its
/// [depth](Value::depth).
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

    /// What messages call a value of the type.
    #[must_use]
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

impl Value {
    /// Checks a text that comes from outside and makes a value of it.
    ///
    /// # Errors
    ///
    /// When the text is not UTF-8, not exactly one JSON value, nested deeper than [`MAX_DEPTH`], or when an object has
    /// the same key twice.
    pub fn parse(text: impl Into<Vec<u8>>) -> Result<Self, ValueError> {
        ingress::check(text.into()).map(Self::trusted)
    }

    /// Checks the params of a message. The levels around the values in them do not count; each of those values is
    /// checked when it is read.
    ///
    /// # Errors
    ///
    /// As [`Value::parse`].
    pub fn parse_params(text: impl Into<Vec<u8>>) -> Result<Self, ValueError> {
        ingress::check_params(text.into()).map(Self::trusted)
    }

    /// Makes a value of a text that serde has checked to be JSON.
    ///
    /// # Errors
    ///
    /// When an object has the same key twice, the text is nested deeper than [`MAX_DEPTH`], or a string holds half of a
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

    /// How deep arrays and objects are nested in it. More than [`MAX_DEPTH`] only in a value that was built from
    /// others.
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

    /// Makes a value of a text that is known to be valid: it was built here, or checked before.
    fn trusted(text: String) -> Self {
        let end = text.len();
        Self { buffer: Arc::new(text), start: 0, end }
    }

    /// A value from a part of this value's text, which `part` must borrow from. Shares the buffer when that keeps no
    /// more than twice the part in memory, else copies.
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
