//! The one door through which text becomes a value.

use serde_json::value::RawValue;

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not a value.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// The bytes are not UTF-8.
    #[error("not UTF-8: byte {0} cannot be read as text")]
    NotUtf8(usize),
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// The text is nested too deeply.
    #[error("nested more than {MAX_DEPTH} deep at byte {0}")]
    TooDeep(usize),
    /// A string holds half of a surrogate pair, which is no character.
    #[error("the escape at byte {0} is half of a surrogate pair")]
    LoneSurrogate(usize),
}

/// The text of exactly one JSON value, without white space around it and without line breaks between its tokens.
pub(super) fn check(bytes: Vec<u8>) -> Result<String, ValueError> {
    let text = String::from_utf8(bytes).map_err(|error| ValueError::NotUtf8(error.utf8_error().valid_up_to()))?;
    let raw: &RawValue = serde_json::from_str(&text)?;
    let trimmed = raw.get();
    if has_line_breaks(trimmed)? {
        // It will travel in streams framed by lines.
        return Ok(compact(trimmed));
    }
    Ok(if trimmed.len() == text.len() { text } else { trimmed.to_owned() })
}

/// Walks a valid JSON text once: refuses what later readers could not take, and says whether a raw CR or LF stands
/// between tokens (inside strings JSON has no raw ones).
fn has_line_breaks(text: &str) -> Result<bool, ValueError> {
    let bytes = text.as_bytes();
    let (mut depth, mut breaks, mut at) = (0_usize, false, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ValueError::TooDeep(at));
                }
            }
            b'}' | b']' => depth -= 1,
            b'\n' | b'\r' => breaks = true,
            b'"' => at = string_end(bytes, at)?,
            _ => {}
        }
        at += 1;
    }
    Ok(breaks)
}

/// The index of the quote that closes the string opened at `open`.
fn string_end(bytes: &[u8], open: usize) -> Result<usize, ValueError> {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(at),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => at += surrogates_checked(bytes, at)?,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Ok(at)
}

/// The length of the `\u` escape at `at`, both halves for a surrogate pair.
fn surrogates_checked(bytes: &[u8], at: usize) -> Result<usize, ValueError> {
    match code_unit(bytes, at) {
        Some(0xD800..=0xDBFF) => match code_unit(bytes, at + 6) {
            Some(0xDC00..=0xDFFF) => Ok(12),
            _ => Err(ValueError::LoneSurrogate(at)),
        },
        Some(0xDC00..=0xDFFF) => Err(ValueError::LoneSurrogate(at)),
        _ => Ok(6),
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
