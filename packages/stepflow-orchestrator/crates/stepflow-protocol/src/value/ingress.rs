//! The only way in which text becomes a value.

mod keys;
mod place;

use std::borrow::Cow;

use keys::Keys;
use serde_json::value::RawValue;

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 128;
/// How many levels of a message's params may be around a value: two for one in a list, such as `inputs`.
const PARAMS_AROUND: usize = 2;

/// Why a text is not a value.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// The bytes are not UTF-8.
    #[error("not UTF-8: byte {0} cannot be read as text")]
    NotUtf8(usize),
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// The text is nested too deeply. The path leads to the first value below the limit.
    #[error("nested more than {MAX_DEPTH} deep: `{0}`")]
    TooDeep(String),
    /// A string holds half of a surrogate pair, which is not a character. The path leads to the string, or to the
    /// member whose key it is.
    #[error("a string holds half of a surrogate pair: `{0}`")]
    LoneSurrogate(String),
    /// Two members of an object have the same key. The path leads to the second one.
    #[error("a key appears twice in one object: `{0}`")]
    DuplicateKey(String),
}

/// The text of exactly one JSON value, without white space around it and without line breaks between its tokens.
pub(super) fn check(bytes: Vec<u8>) -> Result<String, ValueError> {
    check_nested(bytes, MAX_DEPTH)
}

/// The text of a message's params, whose own levels do not count for the values in them.
pub(super) fn check_params(bytes: Vec<u8>) -> Result<String, ValueError> {
    check_nested(bytes, MAX_DEPTH + PARAMS_AROUND)
}

fn check_nested(bytes: Vec<u8>, most: usize) -> Result<String, ValueError> {
    let text = String::from_utf8(bytes).map_err(|error| ValueError::NotUtf8(error.utf8_error().valid_up_to()))?;
    let raw: &RawValue = serde_json::from_str(&text)?;
    let whole = raw.get().len() == text.len();
    match has_line_breaks(raw.get(), most)? {
        false if whole => Ok(text),
        false => Ok(raw.get().to_owned()),
        true => Ok(compact(raw.get())),
    }
}

/// Refuses valid JSON that later readers could not take. Returns a new text when line breaks had to be removed: it will
/// travel in streams framed by lines.
pub(super) fn check_raw(text: &str) -> Result<Option<String>, ValueError> {
    Ok(has_line_breaks(text, MAX_DEPTH)?.then(|| compact(text)))
}

/// Walks through a valid JSON text once. Returns whether there is a CR or LF between tokens (strings have none in valid
/// JSON).
fn has_line_breaks(text: &str, most: usize) -> Result<bool, ValueError> {
    let bytes = text.as_bytes();
    let (mut keys, mut breaks, mut at) = (Keys::default(), false, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' if keys.open(*byte == b'{') > most => return Err(ValueError::TooDeep(place::of(text, at))),
            b'}' | b']' => {
                if let Some(twice) = keys.close() {
                    return Err(ValueError::DuplicateKey(place::of(text, twice)));
                }
            }
            b',' => keys.next(),
            b'\n' | b'\r' => breaks = true,
            b'"' => {
                let half = || ValueError::LoneSurrogate(place::of(text, at));
                let (end, escaped) = string_end(bytes, at).ok_or_else(half)?;
                keys.string(text, at, end, escaped);
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(breaks)
}

/// How deep a value is nested.
pub(super) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = closing_quote(text, at),
            _ => {}
        }
        deepest = deepest.max(depth);
        at += 1;
    }
    deepest
}

/// The place of the quote that ends the string that begins here.
fn closing_quote(text: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(byte) = text.get(at).filter(|byte| **byte != b'"') {
        at += if *byte == b'\\' { 2 } else { 1 };
    }
    at
}

/// The characters of a string that stands in quotes.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    serde_json::from_str(quoted).map_or(Cow::Borrowed(quoted), Cow::Owned)
}

/// The index of the quote that closes the string opened at `open`, and whether there are escapes in it. `None` when an
/// escape is half of a surrogate pair.
fn string_end(bytes: &[u8], open: usize) -> Option<(usize, bool)> {
    let (mut at, mut escaped) = (open + 1, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => {
                escaped = true;
                at += if bytes.get(at + 1) == Some(&b'u') { surrogates_checked(bytes, at)? } else { 2 };
            }
            _ => at += 1,
        }
    }
    Some((at, escaped))
}

/// The length of the `\u` escape at `at`, both halves for a surrogate pair; `None` for one half.
fn surrogates_checked(bytes: &[u8], at: usize) -> Option<usize> {
    match code_unit(bytes, at) {
        Some(0xD800..=0xDBFF) => matches!(code_unit(bytes, at + 6), Some(0xDC00..=0xDFFF)).then_some(12),
        Some(0xDC00..=0xDFFF) => None,
        _ => Some(6),
    }
}

/// The number written by the `\uXXXX` escape at `at`, if one stands there.
fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// A valid text without the white space between its tokens.
fn compact(text: &str) -> String {
    let mut packed = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in text.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            packed.push(character);
        } else if !matches!(character, ' ' | '\t' | '\n' | '\r') {
            in_string = character == '"';
            packed.push(character);
        }
    }
    packed
}
