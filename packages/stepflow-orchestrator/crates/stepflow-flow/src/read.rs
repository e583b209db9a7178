//! From text to the tree: the parts that YAML and JSON have in common. After a mistake the reader goes on if it can, so
//! that one reading reports as many as possible.

mod json;
mod yaml;

use std::collections::HashSet;

use stepflow_protocol::{MAX_DEPTH, Value};

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::node::{Entry, Node};
use crate::path::Path;
use crate::source::{BOM, Format, MAX_BYTES, MAX_NODES, Source, Span};

/// Reads a document into its tree.
///
/// # Errors
/// Everything that is wrong with its syntax, each with its place.
pub fn read_node(source: &Source) -> Result<Node, Diagnostics> {
    whole(source, Keys::Strings, usize::MAX)
}

/// The same for a document about a flow, with the limits of one.
pub(crate) fn read_flow_node(source: &Source) -> Result<Node, Diagnostics> {
    whole(source, Keys::Strings, MAX_NODES)
}

/// The same for a document whose YAML keys may be arrays and objects, such as the inputs of a mock. Such a key becomes
/// its JSON text.
///
/// # Errors
///
/// Everything that is wrong with its syntax, each with its place.
pub fn read_node_with_any_keys(source: &Source) -> Result<Node, Diagnostics> {
    whole(source, Keys::Any, usize::MAX)
}

/// What a key of a YAML document may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// A string, or a scalar that is read as its text.
    Strings,
    /// Arrays and objects as well.
    Any,
}

fn whole(source: &Source, keys: Keys, max_nodes: usize) -> Result<Node, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let node = tree(source, keys, max_nodes, &mut diagnostics);
    diagnostics.settle(&source.text);
    match node {
        Some(node) if diagnostics.is_empty() => Ok(node),
        _ => Err(diagnostics),
    }
}

/// Reads a document that is data, such as a run's input.
///
/// # Errors
/// Everything that is wrong with its syntax, each with its place.
pub fn read_value(source: &Source) -> Result<Value, Diagnostics> {
    read_node(source).map(|node| node.to_value())
}

/// The tree of a flow, if there is one; what is wrong with the text is added to `diagnostics`.
pub(crate) fn read(source: &Source, diagnostics: &mut Diagnostics) -> Option<Node> {
    tree(source, Keys::Strings, MAX_NODES, diagnostics)
}

fn tree(source: &Source, keys: Keys, max_nodes: usize, diagnostics: &mut Diagnostics) -> Option<Node> {
    let report = |code, span, message: String| Diagnostic::new(code, &Path::root(), message).at(Some(span));
    if source.text.len() > MAX_BYTES {
        let message = format!("the document is larger than {} MiB", MAX_BYTES / (1024 * 1024));
        diagnostics.push(report(Code::LimitExceeded, Span::new(0, 0), message));
        return None;
    }
    match std::str::from_utf8(&source.text) {
        Ok(text) => {
            let reporter = Reporter { diagnostics, max_nodes, nodes: 0 };
            match source.format {
                Format::Yaml => yaml::read(text, keys, reporter),
                Format::Json => json::read(text, reporter),
            }
        }
        Err(error) => {
            let at = error.valid_up_to();
            let encoding = if source.text.starts_with(b"\xff\xfe") || source.text.starts_with(b"\xfe\xff") {
                "the document is UTF-16"
            } else {
                "the document is not UTF-8"
            };
            let diagnostic = report(Code::InvalidSyntax, Span::new(at, at + 1), encoding.to_owned());
            diagnostics.push(diagnostic.help("save it as UTF-8"));
            None
        }
    }
}

/// Where the text begins, after the byte order mark that some editors write.
fn after_mark(text: &str) -> usize {
    if text.as_bytes().starts_with(BOM) { BOM.len() } else { 0 }
}

/// The message for `"\ud800"`, the same in every notation.
const HALF_A_PAIR: &str = "the string has half of a surrogate pair, which is not a character";

/// The text cannot be read any further; the diagnostics say why.
struct Stop;

/// Used by both readers: reports mistakes with the same words, and counts values.
struct Reporter<'d> {
    diagnostics: &'d mut Diagnostics,
    max_nodes: usize,
    nodes: usize,
}

impl Reporter<'_> {
    fn report(&mut self, code: Code, path: &Path, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, path, message).at(Some(span)));
    }

    fn report_help(&mut self, code: Code, path: &Path, span: Span, message: impl Into<String>, help: &str) {
        self.diagnostics.push(Diagnostic::new(code, path, message).at(Some(span)).help(help));
    }

    fn duplicate(&mut self, path: &Path, key: &str, span: Span) {
        self.report(Code::DuplicateKey, path, span, format!("the key `{key}` appears twice in this object"));
    }

    fn too_large(&mut self, path: &Path, span: Span, text: &str) {
        let shown: String = text.chars().take(24).collect();
        self.report(Code::LimitExceeded, path, span, format!("the number `{shown}` is too large for any number type"));
    }

    /// Counts values before they are kept, so that no document takes more memory than the limit allows.
    fn count(&mut self, nodes: usize, path: impl FnOnce() -> Path, span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= self.max_nodes {
            return Ok(());
        }
        let message = format!("the document has more than {} values", self.max_nodes);
        let help = "pass large data as the run's input, or as a blob";
        self.report_help(Code::LimitExceeded, &path(), span, message, help);
        Err(Stop)
    }

    fn too_deep(&mut self, path: &Path, span: Span) {
        self.report(Code::LimitExceeded, path, span, format!("nested more than {MAX_DEPTH} deep"));
    }
}

/// The members of an object while it is read. Of two with the same key it keeps the first.
#[derive(Default)]
struct Members {
    entries: Vec<Entry>,
    seen: HashSet<String>,
}

/// Below this number of members, looking at each is faster than hashing.
const FEW: usize = 12;

impl Members {
    fn contains(&self, key: &str) -> bool {
        if self.seen.is_empty() { self.entries.iter().any(|entry| entry.key == key) } else { self.seen.contains(key) }
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= FEW {
            if self.seen.is_empty() {
                self.seen.extend(self.entries.iter().map(|entry| entry.key.clone()));
            }
            self.seen.insert(entry.key.clone());
        }
        self.entries.push(entry);
    }
}
