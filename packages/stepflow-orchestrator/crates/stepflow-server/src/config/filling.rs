//! Puts the environment into the tree of a file, before anything looks at it.

use std::collections::BTreeSet;

use stepflow_flow::node::{Content, Entry, Node};
use stepflow_flow::path::Segment;
use stepflow_flow::{Code, Diagnostic, Diagnostics, Path};

use super::check::fits;
use super::keys;
use super::origins::Origins;
use super::passwords::is_token;
use super::shape::Shape;
use super::substitution::{Environment, fill, names};

/// The least length of a value that is taken out of texts: a shorter one stands in too many words.
const HIDDEN: usize = 4;

/// The tree with all its strings filled in.
pub struct Filled {
    /// The tree.
    pub tree: Node,
    /// Strings that could not be filled in.
    pub mistakes: Diagnostics,
    /// Which variables stand where.
    pub origins: Origins,
    /// The variables that settings of the server and tokens name. No worker has to see them.
    pub own: Vec<String>,
}

/// Fills every string in.
pub fn fill_tree(tree: &Node, environment: Environment<'_>) -> Filled {
    let mut filler = Filler {
        environment,
        mistakes: Diagnostics::default(),
        origins: Origins::default(),
        own: BTreeSet::new(),
        lent: BTreeSet::new(),
    };
    let tree = filler.node(tree, Shape::Object(&keys::ROOT), &Path::root());
    let own = filler.own.difference(&filler.lent).cloned().collect();
    Filled { tree, mistakes: filler.mistakes, origins: filler.origins, own }
}

struct Filler<'e> {
    environment: Environment<'e>,
    mistakes: Diagnostics,
    origins: Origins,
    own: BTreeSet<String>,
    lent: BTreeSet<String>,
}

impl Filler<'_> {
    fn node(&mut self, node: &Node, shape: Shape, path: &Path) -> Node {
        let content = match &node.content {
            Content::String(text) if text.contains("${") => self.text(node, text, shape, path),
            Content::Array(elements) => {
                let element = shape.element();
                let filled = elements.iter().enumerate();
                Content::Array(
                    filled.map(|(index, node)| self.node(node, element, &path.clone().index(index))).collect(),
                )
            }
            Content::Object(entries) => {
                let kind = self.kind(node);
                let filled =
                    entries.iter().map(|entry| self.entry(entry, shape.member(&entry.key, kind.as_deref()), path));
                Content::Object(filled.collect())
            }
            other => other.clone(),
        };
        Node { span: node.span, content }
    }

    fn entry(&mut self, entry: &Entry, shape: Shape, path: &Path) -> Entry {
        Entry { value: self.node(&entry.value, shape, &path.clone().field(&entry.key)), ..entry.clone() }
    }

    /// The `type` of an object: it says what the other members may be.
    fn kind(&self, object: &Node) -> Option<String> {
        fill(object.get("type")?.as_str()?, self.environment).ok()
    }

    fn text(&mut self, node: &Node, text: &str, shape: Shape, path: &Path) -> Content {
        let key = |segment: Option<&Segment>, wanted: fn(&str) -> bool| matches!(segment, Some(Segment::Field(key)) if wanted(key));
        // A worker is told its token, so that no worker has to read another's.
        let for_plugins =
            key(path.segments().first(), |key| key == "plugins") && !key(path.segments().last(), is_token);
        let seen = if for_plugins { &mut self.lent } else { &mut self.own };
        seen.extend(names(text).map(str::to_owned));
        self.origins.add(node.span, names(text));
        match fill(text, self.environment) {
            Ok(filled) => content(node, text, filled, shape),
            Err(problem) => {
                let what = path.segments().iter().rev().find_map(|segment| match segment {
                    Segment::Field(name) => Some(format!("`{name}`")),
                    Segment::Index(_) => None,
                });
                let what = what.unwrap_or_else(|| "the configuration".to_owned());
                let message = format!("{what} cannot be filled in: {problem}");
                let diagnostic = Diagnostic::new(Code::UndefinedRequiredVariable, path, message).at(Some(node.span));
                self.mistakes.push(diagnostic.help("set it, or give a default as in `${NAME:-default}`"));
                node.content.clone()
            }
        }
    }
}

/// What the variables that a part of a tree names hold, the longest first, each with its name.
pub fn values_in(written: &Node, environment: Environment<'_>) -> Vec<(String, String)> {
    let mut found = BTreeSet::new();
    let mut open = vec![written];
    while let Some(node) = open.pop() {
        match &node.content {
            Content::String(text) => found.extend(names(text).map(str::to_owned)),
            Content::Array(elements) => open.extend(elements),
            Content::Object(entries) => open.extend(entries.iter().map(|entry| &entry.value)),
            _ => {}
        }
    }
    let held = |name: String| Some((environment(&name)?, name));
    let mut values: Vec<_> = found.into_iter().filter_map(held).filter(|(value, _)| value.len() >= HIDDEN).collect();
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    values
}

/// What a filled string is. A key that takes a text gets one, whatever it looks like: a token may be all digits. Any other
/// key may get a number or a truth value, from a string that is nothing but one variable: `port: ${PORT}`.
fn content(node: &Node, written: &str, filled: String, shape: Shape) -> Content {
    let is_one = written.starts_with("${") && written.find('}') == Some(written.len() - 1);
    let takes = |content: &Content| fits(&Node { span: node.span, content: content.clone() }, shape);
    let typed = scalar(&filled).filter(|_| is_one);
    let text = Content::String(filled);
    match typed {
        Some(typed) if !takes(&text) && takes(&typed) => typed,
        Some(typed) if matches!(shape, Shape::Any) && !is_fraction(&typed) => typed,
        _ => text,
    }
}

/// A text that reads as a truth value, or as a number in the usual spelling.
fn scalar(text: &str) -> Option<Content> {
    let whole = || text.parse::<u64>().is_ok_and(|number| number.to_string() == text);
    let fraction = || text.parse::<f64>().is_ok_and(|number| number.is_finite() && number.to_string() == text);
    match text {
        "true" => Some(Content::Bool(true)),
        "false" => Some(Content::Bool(false)),
        _ if whole() || fraction() => Some(Content::Number(text.to_owned())),
        _ => None,
    }
}

/// Where any value may stand, `3.11` is more often a version than a number.
fn is_fraction(content: &Content) -> bool {
    matches!(content, Content::Number(digits) if digits.parse::<u64>().is_err())
}
