//! The ways in which a text may be written inside another one: an error quotes its input as JSON, as `repr` or in a
//! URL.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE};
use stepflow_protocol::Value;

/// From this length on, a text is also found in base64 as a part of more. A shorter one has too few characters of its
/// own there.
const LONG_PART: usize = 8;

/// The text, and each different way of writing it. A quoted text may be quoted again, as when an exception quotes the
/// body of an answer or another exception.
pub(super) fn all(text: &str) -> BTreeSet<String> {
    let once = quoted(text);
    let mut found: BTreeSet<String> = once.iter().flat_map(|quoted_once| quoted(quoted_once)).collect();
    found.extend(once);
    // In the query of a URL. Percent escapes are decoded elsewhere: there are too many ways to write them.
    found.extend([text.to_owned(), text.replace(' ', "+")]);
    found.extend([STANDARD, URL_SAFE].iter().flat_map(|alphabet| in_base64(text, alphabet)));
    found
}

/// The text in base64, alone and as a part of more, as in `user:password`. Three bytes make four characters; for each
/// of the three positions, these are the characters that depend only on the text.
fn in_base64(text: &str, alphabet: &GeneralPurpose) -> Vec<String> {
    let alone = alphabet.encode(text);
    let parts = (0..3).filter(|_| text.len() >= LONG_PART).map(|before| {
        let encoded = alphabet.encode([&[0; 3][..before], text.as_bytes()].concat());
        encoded[(before * 8).div_ceil(6)..(before + text.len()) * 8 / 6].to_owned()
    });
    parts.chain([alone.trim_end_matches('=').to_owned(), alone.clone()]).collect()
}

/// What stands between the quotes in different languages.
fn quoted(text: &str) -> BTreeSet<String> {
    let json = Value::string(text);
    let json = unquoted(json.as_str());
    let json = [json.replace('/', "\\/"), json.to_owned()];
    let json = json.into_iter().flat_map(|json| [spelled(&json, is_foreign, json_escape), json]);
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    let repr = spelled(&escaped, is_unprintable, python_escape);
    let repr = [spelled(&repr, is_foreign, python_escape), repr, bytes_repr(&escaped)];
    json.chain(repr.into_iter().flat_map(|repr| [repr.replace('\'', "\\'"), repr])).collect()
}

/// The text between the quotes of a JSON string; another value as it is.
pub(super) fn unquoted(json: &str) -> &str {
    json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json)
}

fn spelled(text: &str, special: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> String {
    text.chars().map(|c| if special(c) { escape(c) } else { c.to_string() }).collect()
}

/// The text as bytes: `caf\xc3\xa9`.
fn bytes_repr(escaped: &str) -> String {
    spelled(
        escaped,
        |character| character.is_control() || is_foreign(character),
        |character| character.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\x{byte:02x}")).collect(),
    )
}

/// Whether `repr` escapes it: control characters, unusual spaces, characters without a form.
fn is_unprintable(character: char) -> bool {
    // Not as the first character: there a combining one would be escaped too.
    character.is_control() || is_foreign(character) && format!("x{character}").escape_debug().count() > 2
}

fn is_foreign(character: char) -> bool {
    !character.is_ascii()
}

/// `\xe9`, `\u20ac`, `\U0001f511`
fn python_escape(character: char) -> String {
    match u32::from(character) {
        code @ ..=0xff => format!("\\x{code:02x}"),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// `\u20ac`, `\ud83d\udd11`
fn json_escape(character: char) -> String {
    character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// The text that percent escapes stand for, and where each of its bytes, and its end, is in the original.
pub(super) fn percent_decoded(text: &str) -> (Vec<u8>, Vec<usize>) {
    let (mut decoded, mut starts) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        let escaped = if *byte == b'%' { hex_byte(text.as_bytes(), at + 1) } else { None };
        starts.push(at);
        decoded.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    starts.push(at);
    (decoded, starts)
}

fn hex_byte(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()
}
