//! Hides secrets in texts: a component's message, a traceback or a worker's stderr may quote what they were given.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::AhoCorasick;
use stepflow_protocol::{FlowError, Kind, Value};

use super::{LONG, REDACTED, Secrets, cut, spelling};

/// From this length on, a line of a secret is hidden by itself: tracebacks quote keys and certificates line by line.
const LONG_LINE: usize = 8;

/// From this length on, the name of a member inside a secret is hidden. Shorter ones are usually words that say what
/// the value is: `id`, `name`, `token`.
const LONG_NAME: usize = 8;

/// The texts that must not be shown. Made from values and their secrets.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    texts: BTreeSet<String>,
}

impl Mask {
    /// Hides the secrets of this value from now on: texts and numbers, as they are and as languages write them.
    pub fn add(&mut self, secrets: &Secrets, value: &Value) {
        if secrets.is_none() {
            return;
        }
        match value.kind() {
            Kind::Object => {
                for (key, member) in value.members() {
                    if secrets.hides_names() || secrets.is_all() && key.len() >= LONG_NAME {
                        self.hide(&key);
                    }
                    self.add(&secrets.field(&key), &member);
                }
            }
            Kind::Array => {
                let elements = value.elements();
                elements.iter().enumerate().for_each(|(index, element)| self.add(&secrets.element(index), element));
            }
            Kind::String | Kind::Number if secrets.is_all() => {
                self.insert(spelling::unquoted(value.as_str()));
                self.hide(value.text().as_deref().unwrap_or(value.as_str()));
            }
            Kind::String | Kind::Number | Kind::Null | Kind::Bool => {}
        }
    }

    fn hide(&mut self, secret: &str) {
        if secret.trim().is_empty() {
            return;
        }
        let lines = secret.lines().map(str::trim).filter(|line| line.len() >= LONG_LINE);
        for text in std::iter::once(secret).chain(lines) {
            spelling::all(text).iter().for_each(|spelled| self.insert(spelled));
        }
    }

    fn insert(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.texts.insert(text.to_owned());
        }
    }

    /// Whether it hides nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The text with `[REDACTED]` in the place of each secret. A secret of fewer than four bytes is found only as a
    /// word.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.finder().map_or_else(|| text.to_owned(), |finder| finder.text(text))
    }

    /// The value as it may be shown: secrets in its texts are hidden, and so are secret numbers.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        self.finder().map_or_else(|| value.clone(), |finder| finder.value(value))
    }

    /// The error as it may be shown: secrets in its message and its data are hidden.
    #[must_use]
    pub fn error(&self, error: FlowError) -> FlowError {
        let Some(finder) = self.finder() else { return error };
        let data = error.data.as_ref().map(|data| finder.value(data));
        FlowError { message: finder.text(&error.message), data, ..error }
    }

    pub(crate) fn finder(&self) -> Option<Finder<'_>> {
        if self.is_empty() {
            return None;
        }
        // The word `[REDACTED]` stays as it is, even if a secret is a part of it.
        let sought = || self.texts.iter().map(String::as_str).chain([REDACTED]);
        Some(Finder { texts: &self.texts, automaton: AhoCorasick::new(sought()).ok() })
    }
}

/// Finds all secrets at once.
pub(crate) struct Finder<'m> {
    texts: &'m BTreeSet<String>,
    /// `None` when there are too many: then nothing is shown.
    automaton: Option<AhoCorasick>,
}

impl Finder<'_> {
    pub(crate) fn text(&self, text: &str) -> String {
        let Some(automaton) = &self.automaton else { return REDACTED.to_owned() };
        let found = automaton.find_overlapping_iter(text).map(|found| found.range());
        let mut hidden: Vec<Range<usize>> =
            found.filter(|range| range.len() >= LONG || is_alone(text, range)).collect();
        hidden.extend(cut::parts(self.texts, text.as_bytes()));
        if text.contains('%') {
            let (decoded, starts) = spelling::percent_decoded(text);
            let escaped = found_escaped(automaton, &decoded, &starts).chain(cut::parts(self.texts, &decoded));
            hidden.extend(escaped.map(|range| starts[range.start]..starts[range.end]));
        }
        hidden.sort_by_key(|range| range.start);
        let mut shown = String::with_capacity(text.len());
        let mut upto = 0;
        for range in hidden {
            // Secrets that overlap are hidden as one, so that no part is left over. Those side by side stay two.
            if range.start >= upto {
                shown.push_str(&text[upto..range.start]);
                shown.push_str(REDACTED);
            }
            upto = upto.max(range.end);
        }
        shown.push_str(&text[upto..]);
        shown
    }

    /// The value with secrets hidden in its texts, and with secret numbers hidden.
    fn value(&self, value: &Value) -> Value {
        match value.kind() {
            Kind::Object => {
                let mut names = BTreeSet::new();
                let members = value.members().into_iter();
                Value::object(
                    members.map(|(key, member)| (distinct_name(&mut names, self.text(&key)), self.value(&member))),
                )
            }
            Kind::Array => Value::array(value.elements().iter().map(|element| self.value(element))),
            Kind::String => value.text().map_or_else(|| value.clone(), |text| Value::string(&self.text(&text))),
            Kind::Number if self.texts.contains(value.as_str()) => Value::string(REDACTED),
            Kind::Number | Kind::Null | Kind::Bool => value.clone(),
        }
    }
}

/// Finds secrets in a text with percent escapes: the decoded text is searched, and each byte's place in the original is
/// known.
fn found_escaped<'f>(
    automaton: &'f AhoCorasick,
    decoded: &'f [u8],
    starts: &'f [usize],
) -> impl Iterator<Item = Range<usize>> + 'f {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
    automaton.find_overlapping_iter(decoded).map(|found| found.range()).filter(move |range| {
        let is_long = starts[range.end] - starts[range.start] >= LONG;
        is_long || !is_word(decoded[..range.start].last()) && !is_word(decoded[range.end..].first())
    })
}

/// The name, changed until it differs from those before it: two hidden names must not become one.
fn distinct_name(names: &mut BTreeSet<String>, name: String) -> String {
    let mut others = (2_u32..).map(|number| format!("{name} {number}"));
    let free = if names.contains(&name) { others.find(|other| !names.contains(other)) } else { None };
    let unlike = free.unwrap_or(name);
    names.insert(unlike.clone());
    unlike
}

/// Whether this part of a text is not a part of a longer word.
fn is_alone(text: &str, range: &Range<usize>) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    !is_word(text[..range.start].chars().next_back()) && !is_word(text[range.end..].chars().next())
}
