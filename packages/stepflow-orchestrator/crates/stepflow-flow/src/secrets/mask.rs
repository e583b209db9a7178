//! Secrets in texts: a component's message, a traceback, a worker's last words may quote what they were given.

use stepflow_protocol::{FlowError, Kind, Value};

use super::{REDACTED, Secrets};

/// From this length on a secret is hidden inside words as well. Shorter ones would hide half of every text.
const LONG: usize = 4;

/// The texts that must not be shown. Made of values and their secrets.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    /// The longest first, so that one that is a part of another does not uncover the rest of it.
    texts: Vec<String>,
}

impl Mask {
    /// Hides the secrets of this value from now on: texts and numbers, as they are and as JSON writes them.
    pub fn add(&mut self, secrets: &Secrets, value: &Value) {
        if secrets.is_none() {
            return;
        }
        match value.kind() {
            Kind::Object => value.members().iter().for_each(|(key, member)| self.add(&secrets.field(key), member)),
            Kind::Array => {
                let elements = value.elements();
                elements.iter().enumerate().for_each(|(index, element)| self.add(&secrets.element(index), element));
            }
            Kind::String | Kind::Number if secrets.is_all() => {
                self.hide(value.as_str().trim_matches('"'));
                self.hide(&value.text().unwrap_or_default());
            }
            Kind::String | Kind::Number | Kind::Null | Kind::Bool => {}
        }
    }

    fn hide(&mut self, text: &str) {
        if !text.trim().is_empty() && !self.texts.iter().any(|known| known == text) {
            let place = self.texts.partition_point(|known| known.len() > text.len());
            self.texts.insert(place, text.to_owned());
        }
    }

    /// Whether it hides nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The text with `[REDACTED]` in the place of each secret. One of fewer than four bytes is found as a word only.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.texts.iter().fold(text.to_owned(), |shown, secret| without(&shown, secret))
    }

    /// The value with its texts, and the numbers that are secrets, replaced.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        match value.kind() {
            Kind::Object => {
                Value::object(value.members().into_iter().map(|(key, member)| (self.text(&key), self.value(&member))))
            }
            Kind::Array => Value::array(value.elements().iter().map(|element| self.value(element))),
            Kind::String => value.text().map_or_else(|| value.clone(), |text| Value::string(&self.text(&text))),
            Kind::Number if self.texts.iter().any(|secret| secret == value.as_str()) => Value::string(REDACTED),
            Kind::Number | Kind::Null | Kind::Bool => value.clone(),
        }
    }

    /// The error with its message and its data as they may be shown.
    #[must_use]
    pub fn error(&self, error: FlowError) -> FlowError {
        if self.is_empty() {
            return error;
        }
        let data = error.data.as_ref().map(|data| self.value(data));
        FlowError { message: self.text(&error.message), data, ..error }
    }
}

fn without(text: &str, secret: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(at) = rest.find(secret) {
        let (left, found) = rest.split_at(at);
        let after = &found[secret.len()..];
        let alone = !is_word(left.chars().next_back().or(before)) && !is_word(after.chars().next());
        shown.push_str(left);
        shown.push_str(if secret.len() >= LONG || alone { REDACTED } else { secret });
        before = secret.chars().next_back();
        rest = after;
    }
    shown.push_str(rest);
    shown
}

fn is_word(character: Option<char>) -> bool {
    character.is_some_and(char::is_alphanumeric)
}
