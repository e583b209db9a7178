//! The path of a refused value, for the error that names it. The text is read again for it: errors are rare.

use super::closing_quote;

/// The most segments of a path that are all shown.
const SHOWN: usize = 12;
/// For a longer path: how many segments of its beginning and of its end are shown.
const FIRST: usize = 6;
const LAST: usize = 2;

/// A segment of a path.
enum Part<'a> {
    Index(u64),
    /// The key in its quotes, as the text has it.
    Key(&'a str),
}

/// The path, as flows write paths, of what begins at this byte of a valid JSON text: a value, or the member whose key
/// it is.
pub(super) fn of(text: &str, wanted: usize) -> String {
    let bytes = text.as_bytes();
    let (mut path, mut key_follows, mut at) = (Vec::new(), false, 0_usize);
    while at < wanted || at == wanted && bytes[at] == b'"' {
        match bytes[at] {
            b'{' => path.push(Part::Key("\"\"")),
            b'[' => path.push(Part::Index(0)),
            b'}' | b']' => drop(path.pop()),
            b',' => {
                if let Some(Part::Index(index)) = path.last_mut() {
                    *index += 1;
                }
            }
            b'"' => {
                let end = closing_quote(bytes, at);
                if let (true, Some(Part::Key(key))) = (key_follows, path.last_mut()) {
                    *key = &text[at..=end];
                }
                at = end;
            }
            _ => {}
        }
        key_follows = match bytes[at] {
            b'{' | b',' => matches!(path.last(), Some(Part::Key(_))),
            b' ' | b'\t' | b'\n' | b'\r' => key_follows,
            _ => false,
        };
        at += 1;
    }
    if path.len() <= SHOWN {
        return format!("${}", written(&path));
    }
    format!("${}…{}", written(&path[..FIRST]), written(&path[path.len() - LAST..]))
}

fn written(path: &[Part<'_>]) -> String {
    path.iter().map(Part::written).collect()
}

impl Part<'_> {
    fn written(&self) -> String {
        match self {
            Self::Index(index) => format!("[{index}]"),
            Self::Key(quoted) => match serde_json::from_str::<String>(quoted) {
                Ok(key) if is_name(&key) => format!(".{key}"),
                Ok(key) => format!("[{}]", serde_json::Value::from(key)),
                // Half of a surrogate pair cannot be written in another way.
                Err(_) => format!("[{quoted}]"),
            },
        }
    }
}

fn is_name(key: &str) -> bool {
    key.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && key.chars().all(|other| other.is_alphanumeric() || other == '_')
}
