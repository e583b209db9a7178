//! From a document's text to a flow: reads, decodes and checks it, and makes one list of everything that is wrong.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, de};
use stepflow_protocol::Value;

use crate::check::{self, Findings};
use crate::decode;
use crate::decoder::Decoder;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Level};
use crate::document::Flow;
use crate::node::Node;
use crate::path::{Path, Segment};
use crate::read;
use crate::secrets::WrittenSecrets;
use crate::source::{Lines, Source, Span};
use crate::subflow::{self, Takers};
use crate::suggest;

/// A flow document after reading.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The flow; `None` when anything fatal is wrong.
    pub flow: Option<Arc<Flow>>,
    /// What is wrong, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The document.
    pub source: Source,
    tree: Option<Node>,
}

/// Reads a flow document and checks it, with the builtins under their usual paths. No text makes it panic.
#[must_use]
pub fn load(source: Source) -> Loaded {
    load_routed(source, &subflow::by_default)
}

/// The same with routes that say which steps take a flow.
#[must_use]
pub fn load_routed(source: Source, takers: Takers<'_>) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let mut decoder = Decoder::new();
    let tree = read::read(&source, &mut diagnostics);
    let tree = tree.map(|tree| decode::modern(&mut decoder, Cow::Owned(tree)).into_owned());
    let flow = tree.as_ref().and_then(|tree| {
        let flow = decode::flow(&mut decoder, tree);
        diagnostics.append(decoder.finish());
        // Findings that only follow from reported mistakes are recognised by their place. If some mistakes were not
        // kept, that is not possible.
        let overflown = diagnostics.left_out().any(|(code, _)| code.level() == Level::Fatal);
        if let Some(flow) = flow.as_ref().filter(|_| !overflown) {
            add_findings(&mut diagnostics, check::check(flow, Some(tree), takers), &source, tree);
        }
        flow
    });
    diagnostics.settle(&source.text);
    diagnostics.find_fixes(&source.text);
    let flow = flow.filter(|_| diagnostics.num_fatal() == 0).map(Arc::new);
    let mut loaded = Loaded { flow, diagnostics, source, tree };
    loaded.hide_secrets();
    loaded
}

impl Loaded {
    /// Adds diagnostics that were found later, such as components that nothing serves. One without a place in the text
    /// gets the place of its path.
    pub fn add(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        for diagnostic in diagnostics {
            let place = || span_of(self.tree.as_ref()?, &Path::parse(&diagnostic.path).ok()?);
            let span = diagnostic.span.or_else(place);
            self.diagnostics.push(diagnostic.at(span));
        }
        self.diagnostics.settle(&self.source.text);
        self.hide_secrets();
        if self.diagnostics.num_fatal() > 0 {
            self.flow = None;
        }
    }

    fn hide_secrets(&mut self) {
        if let Some(tree) = self.tree.as_ref().filter(|_| !self.diagnostics.is_empty()) {
            WrittenSecrets::in_flow(tree).hide_in(&mut self.diagnostics, &mut self.source);
        }
    }

    /// Where in the text the value at this path is written.
    #[must_use]
    pub fn span(&self, path: &Path) -> Option<Span> {
        span_of(self.tree.as_ref()?, path)
    }

    /// The document's tree, with old sections moved to today's places; `None` when its syntax is broken.
    #[must_use]
    pub fn tree(&self) -> Option<&Node> {
        self.tree.as_ref()
    }
}

/// Reads a flow with all checks; fatal diagnostics become the text of the error. See [`load`].
impl<'de> Deserialize<'de> for Flow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = <Value as Deserialize>::deserialize(deserializer)?;
        let loaded = load(Source::json("flow", document.as_bytes()));
        let flow = loaded.flow.ok_or_else(|| de::Error::custom(&loaded.diagnostics))?;
        Ok(Arc::unwrap_or_clone(flow))
    }
}

/// Adds findings, but not those that only follow from a mistake that decoding has reported at the same place.
fn add_findings(diagnostics: &mut Diagnostics, findings: Findings, source: &Source, tree: &Node) {
    let known: HashSet<String> = diagnostics.iter().map(|diagnostic| diagnostic.path.clone()).collect();
    let untyped = |one: &&Diagnostic| one.code == Code::InvalidType;
    let unread: HashSet<String> = diagnostics.iter().filter(untyped).map(|one| one.path.clone()).collect();
    let incomplete = diagnostics.num_fatal() > 0;
    let undeclared = diagnostics.iter().any(refuses_schemas);
    let lines = Lines::of(&source.text);
    // The reference or the step that seems to be missing may be in a part that could not be read.
    let doubtful = |code: Code| match code {
        Code::UnreachableStep => incomplete,
        Code::UndefinedStepReference => unread.contains("$.steps"),
        Code::MissingVariableSchema => undeclared,
        _ => false,
    };
    let left_out = findings.left_out();
    for finding in findings.into_kept() {
        let mut diagnostic = finding.diagnostic;
        if doubtful(diagnostic.code) || known.contains(&diagnostic.path) || lies_inside(&finding.path, &unread) {
            continue;
        }
        diagnostic.span = diagnostic.span.or_else(|| span_of_finding(tree, diagnostic.code, &finding.path));
        if let (Some(label), Some(id)) = (&mut diagnostic.label, finding.related)
            && let Some(span) = span_of(tree, &id)
        {
            label.push_str(&format!(", defined at line {}", lines.position(span.start).line));
        }
        diagnostics.push(diagnostic);
    }
    for (code, count) in left_out.into_iter().filter(|(code, _)| !doubtful(*code)) {
        diagnostics.leave_out(code, count);
    }
}

/// Whether, because of this mistake, the flow's `schemas` were not read as its author meant them.
fn refuses_schemas(diagnostic: &Diagnostic) -> bool {
    let path = Path::parse(&diagnostic.path).unwrap_or_default();
    let Some(Segment::Field(section)) = path.segments().first() else { return false };
    match diagnostic.code {
        Code::OldSpelling => ["schemas", "variables"].contains(&section.as_str()),
        Code::InvalidType => section == "schemas",
        Code::MisspeltKey => path.segments().len() == 1 && suggest::nearest(section, ["schemas"]).is_some(),
        _ => false,
    }
}

/// Whether a path leads into one of these places.
fn lies_inside(path: &Path, places: &HashSet<String>) -> bool {
    let segments = path.segments();
    !places.is_empty()
        && (1..segments.len()).any(|length| places.contains(&Path::from(segments[..length].to_vec()).to_string()))
}

/// The part of the text that a finding is about: for a reference its main member, for a step its id.
fn span_of_finding(tree: &Node, code: Code, path: &Path) -> Option<Span> {
    let key = match code {
        Code::SelfReference | Code::UndefinedStepReference | Code::DependencyCycle => "$step",
        Code::UndefinedVariable | Code::UndefinedRequiredVariable | Code::MissingVariableSchema => "$variable",
        Code::UnusedDefault => "default",
        Code::UnvalidatedAccess => {
            let reference = tree.find(path)?;
            return reference.get("$input").or_else(|| reference.get("$variable")).map(|wanted| wanted.span);
        }
        Code::MisspeltKey => {
            let (last, around) = path.segments().split_last()?;
            let Segment::Field(key) = last else { return None };
            return tree.find(&Path::from(around.to_vec()))?.entry(key).map(|entry| entry.key_span);
        }
        Code::UnreachableStep => return tree.find(path)?.get("id").map(|id| id.span),
        _ => return span_of(tree, path),
    };
    tree.find(path)?.entry(key).map(crate::node::Entry::span)
}

/// The value at this path. If there is none, the nearest place around it: for a missing member the start of its object.
fn span_of(tree: &Node, path: &Path) -> Option<Span> {
    if let Some(node) = tree.find(path) {
        return Some(node.span);
    }
    let (last, around) = path.segments().split_last()?;
    let around = Path::from(around.to_vec());
    let Some(node) = tree.find(&around) else { return span_of(tree, &around) };
    match (last, node.entries().first()) {
        (Segment::Field(_), Some(first)) => Some(first.key_span),
        _ => Some(Span::new(node.span.start, node.span.start)),
    }
}
