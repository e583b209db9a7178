//! The path of a key, for the error that names it. The text is read a second time for it: errors are rare.

use super::{ValueError, string_end, unescaped};
use crate::value::Segment;

/// The path of the member whose key opens at this byte of a text that is valid up to there, as flows write paths.
pub(super) fn of(text: &str, key_at: usize) -> Result<String, ValueError> {
    let bytes = text.as_bytes();
    let (mut path, mut key_follows, mut at) = (Vec::new(), false, 0_usize);
    while at <= key_at {
        match bytes[at] {
            b'{' => path.push(Segment::Field(String::new())),
            b'[' => path.push(Segment::Index(0)),
            b'}' | b']' => drop(path.pop()),
            b',' => {
                if let Some(Segment::Index(index)) = path.last_mut() {
                    *index += 1;
                }
            }
            b'"' => {
                let (end, _) = string_end(bytes, at)?;
                if let (true, Some(Segment::Field(key))) = (key_follows, path.last_mut()) {
                    *key = unescaped(&text[at..=end]).into_owned();
                }
                at = end;
            }
            _ => {}
        }
        key_follows = match bytes[at] {
            b'{' | b',' => matches!(path.last(), Some(Segment::Field(_))),
            b' ' | b'\t' | b'\n' | b'\r' => key_follows,
            _ => false,
        };
        at += 1;
    }
    Ok(path.iter().fold("$".to_owned(), |path, segment| path + &written(segment)))
}

fn written(segment: &Segment) -> String {
    match segment {
        Segment::Index(index) => format!("[{index}]"),
        Segment::Field(key) if is_name(key) => format!(".{key}"),
        Segment::Field(key) => format!("[{}]", serde_json::Value::from(key.as_str())),
    }
}

fn is_name(key: &str) -> bool {
    key.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && key.chars().all(|other| other.is_alphanumeric() || other == '_')
}
