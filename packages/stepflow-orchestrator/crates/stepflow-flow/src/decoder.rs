//! Reads typed values from a document's tree. It goes on after a mistake, so that one reading reports all of them.
//! Flows and configurations are decoded with it.

use indexmap::IndexSet;
use stepflow_protocol::{Kind, Value};

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::duration::TimeSpan;
use crate::node::{Content, Entry, Node};
use crate::path::{Path, Segment};
use crate::repair::Repair;
use crate::source::Span;
use crate::suggest;

/// The present place in the tree, and the mistakes so far.
///
/// Every reading method returns `None` after it has reported a mistake.
#[derive(Debug, Default)]
pub struct Decoder {
    path: Path,
    diagnostics: Diagnostics,
}

/// Words that older YAML read as booleans.
const OLD_BOOLEANS: [&str; 4] = ["yes", "no", "on", "off"];

impl Decoder {
    /// A decoder at the root of a document.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder of a part of a document.
    #[must_use]
    pub(crate) fn at(path: Path) -> Self {
        Self { path, diagnostics: Diagnostics::default() }
    }

    /// What was wrong.
    #[must_use]
    pub fn finish(self) -> Diagnostics {
        self.diagnostics
    }

    /// What was wrong so far.
    #[must_use]
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// Reports a mistake at the present place; advice can be added to the result.
    pub fn report(&mut self, code: Code, span: Span, message: impl Into<String>) -> Reported<'_> {
        Reported(self.diagnostics.keep(Diagnostic::new(code, &self.path, message).at(Some(span))))
    }

    /// Decodes something inside a member.
    pub fn inside<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Segment::Field(key.to_owned()));
        let decoded = read(self);
        self.path.pop();
        decoded
    }

    /// Decodes each element of an array; those with a mistake are left out.
    pub fn each<T>(&mut self, node: &Node, mut read: impl FnMut(&mut Self, &Node) -> Option<T>) -> Option<Vec<T>> {
        let Content::Array(elements) = &node.content else { return self.mismatch(node, "an array") };
        let mut decoded = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            self.path.push_index(index);
            decoded.extend(read(self, element));
            self.path.pop();
        }
        Some(decoded)
    }

    /// Decodes each member of an object whose keys the author chooses; those with a mistake are left out.
    pub fn each_member<T>(
        &mut self,
        node: &Node,
        mut read: impl FnMut(&mut Self, &Entry) -> Option<T>,
    ) -> Option<Vec<(String, T)>> {
        let Content::Object(entries) = &node.content else { return self.mismatch(node, "an object") };
        let mut decoded = Vec::with_capacity(entries.len());
        for entry in entries {
            let value = self.inside(&entry.key, |decoder| read(decoder, entry));
            decoded.extend(value.map(|value| (entry.key.clone(), value)));
        }
        Some(decoded)
    }

    /// An object with keys that we define; they are read one after the other.
    pub fn fields<'n>(&mut self, node: &'n Node) -> Option<Fields<'n>> {
        match &node.content {
            Content::Object(entries) => Some(Fields { node, entries, known: Vec::new(), old: Vec::new() }),
            _ => self.mismatch(node, "an object"),
        }
    }

    /// A string.
    pub fn string(&mut self, node: &Node) -> Option<String> {
        match &node.content {
            Content::String(text) => Some(text.clone()),
            _ => {
                let quoted = matches!(node.content, Content::Number(_) | Content::Bool(_));
                let reported = self.mismatch_reported(node, "a string");
                if quoted {
                    reported.help("put it in quotes");
                }
                None
            }
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, node: &Node) -> Option<bool> {
        match node.content {
            Content::Bool(truth) => Some(truth),
            _ => {
                let old =
                    node.as_str().is_some_and(|text| OLD_BOOLEANS.iter().any(|old| text.eq_ignore_ascii_case(old)));
                let reported = self.mismatch_reported(node, "`true` or `false`");
                if old {
                    reported.help("in YAML 1.2 this word is a string; write `true` or `false`");
                }
                None
            }
        }
    }

    /// A whole number that is not negative.
    pub fn unsigned<N: TryFrom<u64>>(&mut self, node: &Node) -> Option<N> {
        let number = match &node.content {
            Content::Number(digits) => digits.parse::<u64>().ok().and_then(|number| N::try_from(number).ok()),
            _ => return self.no_number(node, "a whole number"),
        };
        if number.is_none() {
            let message = match self.key() {
                Some(key) => format!("`{key}` must be a whole number in range, not negative"),
                None => "expected a whole number in range, not negative".to_owned(),
            };
            self.report(Code::InvalidType, node.span, message);
        }
        number
    }

    /// Any number.
    pub fn number(&mut self, node: &Node) -> Option<f64> {
        match &node.content {
            Content::Number(digits) => digits.parse().ok(),
            _ => self.no_number(node, "a number"),
        }
    }

    /// A length of time: a text such as `30s`, or a number of seconds.
    pub fn time_span(&mut self, node: &Node) -> Option<TimeSpan> {
        match TimeSpan::from_value(node.to_value()) {
            Ok(span) => Some(span),
            Err(error) => {
                self.report(Code::InvalidDuration, node.span, error.to_string())
                    .help("write a time such as `500ms`, `30s`, `5m` or `1h30m`, or a number of seconds");
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let Some(text) = node.as_str() else { return self.mismatch(node, "a string") };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let near = suggest::nearest(text, words.iter().map(|(word, _)| *word));
        let message = format!("`{text}` is none of {}", all.join(", "));
        let only = suggest::only(text, words.iter().map(|(word, _)| *word)).map(|only| Repair::Rename(only.to_owned()));
        let reported = self.report(Code::InvalidType, node.span, message).repair(only);
        if let Some(near) = near {
            reported.help(format!("did you mean `{near}`?"));
        }
        None
    }

    /// Any JSON value.
    pub fn value(&mut self, node: &Node) -> Option<Value> {
        Some(node.to_value())
    }

    /// Any JSON object.
    pub fn object(&mut self, node: &Node) -> Option<Value> {
        match node.kind() {
            Kind::Object => Some(node.to_value()),
            _ => self.mismatch(node, "an object"),
        }
    }

    /// Reports that a value does not have the expected type.
    pub fn mismatch<T>(&mut self, node: &Node, wanted: &str) -> Option<T> {
        self.mismatch_reported(node, wanted);
        None
    }

    /// The same with advice.
    pub(crate) fn mismatch_help<T>(&mut self, node: &Node, wanted: &str, help: impl Into<String>) -> Option<T> {
        self.mismatch_reported(node, wanted).help(help);
        None
    }

    fn no_number<T>(&mut self, node: &Node, wanted: &str) -> Option<T> {
        let quoted = node.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok());
        let reported = self.mismatch_reported(node, wanted);
        if quoted {
            reported.help("remove the quotes");
        }
        None
    }

    fn mismatch_reported(&mut self, node: &Node, wanted: &str) -> Reported<'_> {
        let found = node.kind().with_article();
        let message = match self.key() {
            Some(key) => format!("`{key}` must be {wanted}, and is {found}"),
            None => format!("expected {wanted}, found {found}"),
        };
        self.report(Code::InvalidType, node.span, message)
    }

    /// The key whose value is read: lists of messages do not show the line.
    fn key(&self) -> Option<&str> {
        match self.path.segments().last()? {
            Segment::Field(key) => Some(key),
            Segment::Index(_) => None,
        }
    }
}

/// A diagnostic that was just reported.
pub struct Reported<'d>(Option<&'d mut Diagnostic>);

impl Reported<'_> {
    /// Adds a repair, where only one is right.
    pub(crate) fn repair(mut self, repair: Option<Repair>) -> Self {
        if let Some(diagnostic) = &mut self.0 {
            diagnostic.repair = repair;
        }
        self
    }

    /// Adds what to do about it.
    pub fn help(self, help: impl Into<String>) {
        if let Some(diagnostic) = self.0 {
            diagnostic.help = Some(help.into());
        }
    }
}

/// How many unknown keys of one object are reported one by one.
const MAX_UNKNOWN: usize = 100;

/// How many known keys are listed when an unknown one is not near any of them.
const MAX_LISTED: usize = 8;

/// An object that is being decoded. It gives out members, and at the end it reports those that were not read.
#[derive(Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    /// Keys of older languages that are reported elsewhere, so that no advice suggests them.
    old: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The object.
    #[must_use]
    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The value of a member that may be absent; `null` means absent.
    pub fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.get_or_null(key).filter(|node| !node.is_null())
    }

    /// The value of a member that may be absent; `null` is a value.
    pub fn get_or_null(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Decodes a member that may be absent.
    pub fn optional<T>(
        &mut self,
        decoder: &mut Decoder,
        key: &'static str,
        read: impl FnOnce(&mut Decoder, &'n Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(key)?;
        decoder.inside(key, |decoder| read(decoder, node))
    }

    /// Decodes a member that must be there.
    pub fn required<T>(
        &mut self,
        decoder: &mut Decoder,
        key: &'static str,
        read: impl FnOnce(&mut Decoder, &'n Node) -> Option<T>,
    ) -> Option<T> {
        match self.get(key) {
            Some(node) => decoder.inside(key, |decoder| read(decoder, node)),
            None => {
                self.report_missing(decoder, key);
                None
            }
        }
    }

    /// Reports that a required member is missing.
    pub fn report_missing(&self, decoder: &mut Decoder, key: &str) {
        let span = self.entries.first().map_or(self.node.span, |entry| entry.key_span);
        decoder.inside(key, |decoder| {
            decoder.report(Code::MissingKey, span, format!("the key `{key}` is missing here"));
        });
    }

    /// Marks a key as known, although nothing is read from it.
    pub fn ignore(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Marks a key as an old spelling that was reported already.
    pub(crate) fn ignore_old(&mut self, key: &'static str) {
        self.old.push(key);
    }

    fn knows(&self, key: &str) -> bool {
        self.known.contains(&key) || self.old.contains(&key)
    }

    /// The known keys in their order, if they are not too many to list.
    fn listed(&self) -> Option<String> {
        let keys: IndexSet<String> = self.known.iter().map(|key| format!("`{key}`")).collect();
        (2..=MAX_LISTED).contains(&keys.len()).then(|| keys.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// The key that a misspelt one must be: the only one that is near, not in the object yet, and not meant by another
    /// member.
    fn right_key(&self, written: &str) -> Option<Repair> {
        let right = suggest::only(written, self.known.iter().copied())?;
        let is_meant = |entry: &Entry| entry.key == right || suggest::only(&entry.key, [right]).is_some();
        let known = |entry: &Entry| entry.key != right && self.knows(&entry.key);
        let taken = |entry: &&Entry| entry.key != written && !known(entry) && is_meant(entry);
        let free = self.entries.len() <= MAX_UNKNOWN && !self.entries.iter().any(|entry| taken(&entry));
        free.then(|| Repair::Rename(right.to_owned()))
    }

    /// Reports members that were not read: an error if the key is near one of ours, else a warning.
    pub fn close(self, decoder: &mut Decoder) {
        let keys = self.listed();
        let mut unknown = self.entries.iter().filter(|entry| !self.knows(&entry.key));
        for entry in unknown.by_ref().take(MAX_UNKNOWN) {
            let near = suggest::nearest(&entry.key, self.known.iter().copied());
            decoder.inside(&entry.key, |decoder| match near {
                Some(near) => {
                    let help = match self.node.entry(near) {
                        Some(_) => format!("`{near}` is here already: remove one of them"),
                        None => format!("did you mean `{near}`?"),
                    };
                    decoder
                        .report(Code::MisspeltKey, entry.key_span, format!("unknown key `{}`", entry.key))
                        .repair(self.right_key(&entry.key))
                        .help(help);
                }
                None => {
                    let message = format!("the key `{}` means nothing here", entry.key);
                    let reported = decoder.report(Code::UnknownKey, entry.key_span, message);
                    if let Some(keys) = &keys {
                        reported.help(format!("the keys here are {keys}"));
                    }
                }
            });
        }
        if let Some(next) = unknown.next() {
            let message = format!("this key and {} more mean nothing here", unknown.count());
            decoder.inside(&next.key, |decoder| {
                decoder.report(Code::UnknownKey, next.key_span, message);
            });
        }
    }
}
