//! Reads YAML 1.2 with the core schema, with the place of every value and key. The parser's events become nodes here,
//! and everything that JSON does not have (anchors, tags, styles) is resolved.

mod scalar;

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScanError, StructureStyle};
use stepflow_protocol::MAX_DEPTH;

use super::{Keys, Members, Reporter, Stop, after_mark};
use crate::diagnostics::Code;
use crate::node::{Content, Entry, Node, Size};
use crate::path::{Path, Segment};
use crate::source::{MAX_BYTES, Span};

pub(super) fn read(text: &str, keys: Keys, report: Reporter<'_>) -> Option<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = TreeBuilder {
        text,
        report,
        keys,
        open: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        copied: 0,
        documents: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, place(span)),
            Err(error) => builder.syntax(&error),
        };
        if let Err(Stop) = step {
            return None;
        }
    }
    let start = after_mark(text);
    Some(builder.root.unwrap_or(Node { span: Span::new(start, start), content: Content::Null }))
}

/// How much copies of aliases may add to a document, counted like text: as much again as a document may have.
const COPY_BUDGET: usize = MAX_BYTES;

struct TreeBuilder<'t, 'd> {
    text: &'t str,
    report: Reporter<'d>,
    keys: Keys,
    open: Vec<Collection>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    copied: usize,
    documents: usize,
}

/// A finished value that has an anchor.
struct Anchored {
    node: Node,
    size: Size,
}

/// A collection that has not ended yet.
struct Collection {
    span: Span,
    anchor: usize,
    in_block: bool,
    parts: Parts,
}

enum Parts {
    Array(Vec<Node>),
    /// The members, and the key whose value comes next.
    Object(Members, Option<(String, Span)>),
}

impl TreeBuilder<'_, '_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(..) => return self.document(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tab(span)?;
                if self.awaits_key() {
                    self.key(&text, style, span);
                    let content = Content::String(text.into_owned());
                    self.remember(anchor, &Node { span, content });
                } else {
                    self.count(1, span)?;
                    let written = &self.text[span.start..span.end];
                    let path = || path_of(&self.open);
                    let content = scalar::resolve(text, style, tag.as_deref(), written, span, &path, &mut self.report);
                    self.finished(Node { span, content }, anchor);
                }
            }
            Event::SequenceStart(style, anchor, tag) => {
                scalar::check_collection_tag(tag.as_deref(), "seq", span, &mut self.report);
                self.begin(style, anchor, span, Parts::Array(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, tag) => {
                scalar::check_collection_tag(tag.as_deref(), "map", span, &mut self.report);
                self.begin(style, anchor, span, Parts::Object(Members::default(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::UnresolvedAlias(name) => {
                let message = format!("there is no anchor `&{name}` before this alias");
                self.report.report(Code::InvalidSyntax, &self.path(), span, message);
                self.stand_in(span)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn document(&mut self, span: Span) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents < 2 {
            return Ok(());
        }
        self.report.report_help(
            Code::InvalidSyntax,
            &Path::root(),
            span,
            "a second document begins here",
            "a file holds one document; remove the `---`, or make two files",
        );
        Err(Stop)
    }

    fn begin(&mut self, style: StructureStyle, anchor: usize, span: Span, parts: Parts) -> Result<(), Stop> {
        self.refuse_tab(span)?;
        if self.open.len() == MAX_DEPTH {
            self.report.too_deep(&self.path(), span);
            return Err(Stop);
        }
        self.count(1, span)?;
        self.open.push(Collection { span, anchor, in_block: style == StructureStyle::Block, parts });
        Ok(())
    }

    fn end(&mut self, span: Span) {
        let Some(collection) = self.open.pop() else { return };
        let content = match collection.parts {
            Parts::Array(elements) => Content::Array(elements),
            Parts::Object(members, _) => Content::Object(members.entries),
        };
        // The parser's end event of a block collection is where the next thing begins. So its end is the end of its
        // last part.
        let last = match &content {
            Content::Array(elements) => elements.last().map(|element| element.span),
            Content::Object(entries) => entries.last().map(|entry| entry.value.span),
            _ => None,
        };
        let end = if collection.in_block { last.unwrap_or(collection.span).end } else { span.end };
        self.finished(Node { span: Span::new(collection.span.start, end), content }, collection.anchor);
    }

    /// Adds a finished value to the collection around it.
    fn finished(&mut self, node: Node, anchor: usize) {
        self.remember(anchor, &node);
        match self.open.last_mut().map(|collection| &mut collection.parts) {
            None => self.root = Some(node),
            Some(Parts::Array(elements)) => elements.push(node),
            Some(Parts::Object(members, next)) => match next.take() {
                Some((key, key_span)) if !members.contains(&key) => members.push(Entry { key, key_span, value: node }),
                Some((key, key_span)) => {
                    let path = self.path().field(key.as_str());
                    self.report.duplicate(&path, &key, key_span);
                }
                None if self.keys == Keys::Any => self.set_key(node.to_value().as_str().to_owned(), node.span),
                None => {
                    let message = "a key must be a string, not an array or an object";
                    self.report.report(Code::InvalidSyntax, &self.path(), node.span, message);
                    self.set_key(String::new(), node.span);
                }
            },
        }
    }

    /// Adds a null for a value that could not be read, so that reading can go on.
    fn stand_in(&mut self, span: Span) -> Result<(), Stop> {
        if self.awaits_key() {
            self.set_key(String::new(), span);
        } else {
            self.count(1, span)?;
            self.finished(Node { span, content: Content::Null }, 0);
        }
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Collection { parts: Parts::Object(_, None), .. }))
    }

    fn key(&mut self, text: &str, style: granit_parser::ScalarStyle, span: Span) {
        let plain = style == granit_parser::ScalarStyle::Plain;
        if plain && span.start == span.end {
            self.report.report(Code::InvalidSyntax, &self.path(), span, "a key is missing before this `:`");
        } else if plain && text == "<<" {
            let message = "merge keys (`<<`) are not part of YAML 1.2";
            let help = "write the members out, or quote the key if it is meant to be named `<<`";
            self.report.report_help(Code::InvalidSyntax, &self.path(), span, message, help);
        }
        self.set_key(text.to_owned(), span);
    }

    fn set_key(&mut self, key: String, span: Span) {
        if let Some(Collection { parts: Parts::Object(_, next), .. }) = self.open.last_mut() {
            *next = Some((key, span));
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
            let message = "this alias stands inside the value that it refers to";
            self.report.report(Code::InvalidSyntax, &self.path(), span, message);
            return self.stand_in(span);
        };
        self.copied = self.copied.saturating_add(size.weight);
        if self.copied > COPY_BUDGET {
            let message = "aliases make this document too large";
            self.report.report(Code::LimitExceeded, &self.path(), span, message);
            return Err(Stop);
        }
        if self.open.len() + size.depth > MAX_DEPTH {
            self.report.too_deep(&self.path(), span);
            return Err(Stop);
        }
        self.report.count(size.nodes, || path_of(&self.open), span)?;
        let copy = node.clone();
        match copy.content {
            Content::String(text) if self.awaits_key() => self.set_key(text, span),
            _ => self.finished(copy, 0),
        }
        Ok(())
    }

    /// Keeps a copy of a value that has an anchor. The copy is counted too: anchors inside anchors would double it.
    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor == 0 {
            return;
        }
        let size = node.measure();
        self.copied = self.copied.saturating_add(size.weight);
        if self.copied <= COPY_BUDGET {
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
    }

    /// YAML forbids tabs for indentation; the parser lets some through.
    fn refuse_tab(&mut self, span: Span) -> Result<(), Stop> {
        if self.open.last().is_some_and(|collection| !collection.in_block) {
            return Ok(());
        }
        let before = &self.text.as_bytes()[..span.start];
        let blank = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line_starts = before.len() == blank || matches!(before[before.len() - blank - 1], b'\n' | b'\r');
        match before[before.len() - blank..].iter().position(|byte| *byte == b'\t') {
            Some(tab) if line_starts => self.tab(before.len() - blank + tab),
            _ => Ok(()),
        }
    }

    fn tab(&mut self, at: usize) -> Result<(), Stop> {
        let message = "a tab is used for indentation";
        self.report.report_help(
            Code::InvalidSyntax,
            &self.path(),
            Span::new(at, at + 1),
            message,
            "indent with spaces",
        );
        Err(Stop)
    }

    fn syntax(&mut self, error: &ScanError) -> Result<(), Stop> {
        let at = error.marker().byte_offset().unwrap_or(self.text.len()).min(self.text.len());
        let path = self.path();
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => self.report.too_deep(&path, Span::new(at, at)),
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabAtBlockScalarStart => return self.tab(tab_near(self.text, at)),
            kind => {
                let length = self.text[at..].chars().next().filter(|next| !next.is_control()).map_or(0, char::len_utf8);
                let (message, help) = scalar::explain(kind, self.text, at);
                let span = Span::new(at, at + length);
                match help {
                    Some(help) => self.report.report_help(Code::InvalidSyntax, &path, span, message, help),
                    None => self.report.report(Code::InvalidSyntax, &path, span, message),
                }
            }
        }
        Err(Stop)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.report.count(nodes, || path_of(&self.open), span)
    }

    /// The path of the next value.
    fn path(&self) -> Path {
        path_of(&self.open)
    }
}

fn path_of(open: &[Collection]) -> Path {
    let mut path = Path::root();
    for collection in open {
        match &collection.parts {
            Parts::Array(elements) => path.push_index(elements.len()),
            Parts::Object(_, Some((key, _))) => path.push(Segment::Field(key.clone())),
            Parts::Object(_, None) => {}
        }
    }
    path
}

fn place(span: granit_parser::Span) -> Span {
    span.byte_range().map_or(Span::default(), |range| Span::new(range.start, range.end))
}

/// The first tab at the start of a line from here on; the parser points to the value before the tab.
fn tab_near(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let mut start = line;
    for line in text[line..].split_inclusive('\n') {
        let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..blank].find('\t') {
            return start + tab;
        }
        start += line.len();
    }
    at
}
