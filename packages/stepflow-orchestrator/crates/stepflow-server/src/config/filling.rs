//! Replaces variables of the environment, such as `${NAME}`, in all strings of a file. This comes before all checks.

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

/// The shortest value that is hidden in texts, in bytes: shorter ones are a part of too many words.
const MIN_HIDDEN: usize = 4;

/// The tree with all its strings filled in.
pub struct Filled {
    /// The tree.
    pub tree: Node,
    /// Strings that could not be filled in.
    pub mistakes: Diagnostics,
    /// Which variables each string was filled in from.
    pub origins: Origins,
    /// The variables that only settings of the server and tokens name. Workers do not need them.
    pub server_variables: Vec<String>,
}

/// Fills in every string.
pub fn fill_tree(tree: &Node, environment: Environment<'_>) -> Filled {
    let mut filler = Filler {
        environment,
        mistakes: Diagnostics::default(),
        origins: Origins::default(),
        server_variables: BTreeSet::new(),
        plugin_variables: BTreeSet::new(),
    };
    let tree = filler.node(tree, Shape::Object(&keys::ROOT), &Path::root());
    let server_variables = filler.server_variables.difference(&filler.plugin_variables).cloned().collect();
    Filled { tree, mistakes: filler.mistakes, origins: filler.origins, server_variables }
}

struct Filler<'e> {
    environment: Environment<'e>,
    mistakes: Diagnostics,
    origins: Origins,
    server_variables: BTreeSet<String>,
    plugin_variables: BTreeSet<String>,
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

    /// The `type` of an object, which tells what the other members may be.
    fn kind(&self, object: &Node) -> Option<String> {
        fill(object.get("type")?.as_str()?, self.environment).ok()
    }

    fn text(&mut self, node: &Node, text: &str, shape: Shape, path: &Path) -> Content {
        let key = |segment: Option<&Segment>, wanted: fn(&str) -> bool| matches!(segment, Some(Segment::Field(key)) if wanted(key));
        // The server passes the token to the worker. A token's variable is not inherited, so that no worker reads the
        // token of another one.
        let for_plugins =
            key(path.segments().first(), |key| key == "plugins") && !key(path.segments().last(), is_token);
        let seen = if for_plugins { &mut self.plugin_variables } else { &mut self.server_variables };
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

/// The values of the variables that a part of a tree names, each with the variable's name; the longest value first.
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
    let mut values: Vec<_> =
        found.into_iter().filter_map(held).filter(|(value, _)| value.len() >= MIN_HIDDEN).collect();
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    values
}

/// The value of a filled string. A key that takes a string gets a string, even one that looks like a number: a token may
/// consist of digits. Any other key may get a number or a boolean when its string is exactly one variable, as in
/// `port: ${PORT}`.
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

/// The boolean or the number that a text is the usual spelling of.
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

/// Whether this is not a whole number. Where any value is allowed, `3.11` is more often a version than a number.
fn is_fraction(content: &Content) -> bool {
    matches!(content, Content::Number(digits) if digits.parse::<u64>().is_err())
}
