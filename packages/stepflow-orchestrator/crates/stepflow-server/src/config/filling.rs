//! Puts the environment into the tree of a file, before anything looks at it.

use std::collections::BTreeSet;

use stepflow_flow::node::{Content, Entry, Node};
use stepflow_flow::path::Segment;
use stepflow_flow::{Code, Diagnostic, Diagnostics, Path};

use super::substitution::{Environment, fill, names};

/// The tree with all its strings filled in.
pub struct Filled {
    /// The tree.
    pub tree: Node,
    /// Strings that could not be filled in.
    pub mistakes: Diagnostics,
    /// The variables that settings of the server name. No worker has to see them.
    pub own: Vec<String>,
}

/// Fills every string in.
pub fn fill_tree(tree: &Node, environment: Environment<'_>) -> Filled {
    let mut filler =
        Filler { environment, mistakes: Diagnostics::default(), own: BTreeSet::new(), lent: BTreeSet::new() };
    let tree = filler.node(tree, &Path::root());
    let own = filler.own.difference(&filler.lent).cloned().collect();
    Filled { tree, mistakes: filler.mistakes, own }
}

struct Filler<'e> {
    environment: Environment<'e>,
    mistakes: Diagnostics,
    own: BTreeSet<String>,
    lent: BTreeSet<String>,
}

impl Filler<'_> {
    fn node(&mut self, node: &Node, path: &Path) -> Node {
        let content = match &node.content {
            Content::String(text) if text.contains("${") => self.text(node, text, path),
            Content::Array(elements) => {
                let filled =
                    elements.iter().enumerate().map(|(index, node)| self.node(node, &path.clone().index(index)));
                Content::Array(filled.collect())
            }
            Content::Object(entries) => Content::Object(entries.iter().map(|entry| self.entry(entry, path)).collect()),
            other => other.clone(),
        };
        Node { span: node.span, content }
    }

    fn entry(&mut self, entry: &Entry, path: &Path) -> Entry {
        Entry { value: self.node(&entry.value, &path.clone().field(&entry.key)), ..entry.clone() }
    }

    fn text(&mut self, node: &Node, text: &str, path: &Path) -> Content {
        let for_plugins = matches!(path.segments().first(), Some(Segment::Field(key)) if key == "plugins");
        let seen = if for_plugins { &mut self.lent } else { &mut self.own };
        seen.extend(names(text).map(str::to_owned));
        match fill(text, self.environment) {
            Ok(filled) => typed(text, filled),
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

/// A string that is nothing but one variable may be a number or a truth value: `port: ${PORT}`.
fn typed(written: &str, filled: String) -> Content {
    let is_one = written.starts_with("${") && written.find('}') == Some(written.len() - 1);
    let is_whole = filled.parse::<u64>().is_ok_and(|number| number.to_string() == filled);
    match filled.as_str() {
        "true" if is_one => Content::Bool(true),
        "false" if is_one => Content::Bool(false),
        _ if is_one && is_whole => Content::Number(filled),
        _ => Content::String(filled),
    }
}
