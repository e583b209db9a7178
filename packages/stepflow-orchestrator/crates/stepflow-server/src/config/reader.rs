//! From the tree of the file to plugins and routes, with every mistake that is in it.

use std::collections::BTreeMap;

use stepflow_flow::node::{Content, Entry, Node};
use stepflow_flow::{Code, Diagnostic, Diagnostics, Path, Span, suggest};
use stepflow_hosts::{RouteError, Rule};

use super::keys::{self, Keys};
use super::routing::routing;
use super::substitution::{Environment, fill};
use super::{Plugin, Worker};

/// What the file says, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Read {
    pub plugins: BTreeMap<String, Plugin>,
    pub routes: Vec<(String, Vec<Rule>)>,
    pub mistakes: Diagnostics,
    pub not_built: Diagnostics,
}

struct Reader<'a> {
    environment: Environment<'a>,
    read: Read,
    /// The names under `plugins`, also of those that are wrong.
    names: Vec<&'a str>,
}

/// Reads the whole tree, whatever is wrong with a part of it.
pub fn read(tree: &Node, environment: Environment<'_>) -> Read {
    let names = tree.get("plugins").map(Node::entries).unwrap_or_default();
    let names = names.iter().map(|entry| entry.key.as_str()).collect();
    let mut reader = Reader { environment, read: Read::default(), names };
    reader.root(tree);
    if reader.read.mistakes.is_empty() {
        reader.follow_routes(tree);
    }
    reader.read
}

impl<'a> Reader<'a> {
    fn root(&mut self, tree: &'a Node) {
        let path = Path::root();
        for entry in self.members(tree, &path, "the configuration", &keys::ROOT) {
            let path = path.clone().field(&entry.key);
            match entry.key.as_str() {
                "plugins" => self.plugins(&entry.value, &path),
                "routes" => self.routes(&entry.value, &path),
                "stateStore" => self.state_store(entry, &path),
                _ => {}
            }
        }
    }

    fn plugins(&mut self, node: &'a Node, path: &Path) {
        for entry in self.entries(node, path, "`plugins`") {
            if let Some(plugin) = self.plugin(entry, &path.clone().field(&entry.key)) {
                self.read.plugins.insert(entry.key.clone(), plugin);
            }
        }
    }

    fn plugin(&mut self, entry: &'a Entry, path: &Path) -> Option<Plugin> {
        let what = format!("the plugin `{}`", entry.key);
        let kind = self.kind(&entry.value, path, &what, &keys::PLUGIN_TYPES)?;
        let known = if kind == "builtin" { &keys::BUILTIN } else { &keys::STEPFLOW };
        let mut worker = Worker::default();
        let mut has_command = false;
        for member in self.members(&entry.value, path, &what, known) {
            let path = path.clone().field(&member.key);
            match member.key.as_str() {
                "command" => {
                    has_command = true;
                    worker.command = self.text(&member.value, &path, "`command`")?;
                }
                "args" => worker.args = self.texts(&member.value, &path)?,
                "env" => worker.env = self.environment_of(&member.value, &path),
                _ => {}
            }
        }
        if kind == "builtin" {
            return Some(Plugin::Builtin);
        }
        // A worker that is reached by its `url` is refused as not built; it needs no second complaint.
        if !has_command && entry.value.get("url").is_none() {
            let message = format!("{what} has no `command`");
            let help = "`command` is the program that serves its components, such as `stepflow-worker`";
            self.mistake(Code::MissingKey, path, entry.key_span, message, Some(help.to_owned()));
            return None;
        }
        Some(Plugin::Stepflow(worker))
    }

    fn environment_of(&mut self, node: &'a Node, path: &Path) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for entry in self.entries(node, path, "`env`") {
            let what = format!("the variable `{}`", entry.key);
            if let Some(text) = self.text(&entry.value, &path.clone().field(&entry.key), &what) {
                variables.insert(entry.key.clone(), text);
            }
        }
        variables
    }

    fn routes(&mut self, node: &'a Node, path: &Path) {
        for entry in self.entries(node, path, "`routes`") {
            let path = path.clone().field(&entry.key);
            let Content::Array(elements) = &entry.value.content else {
                self.wrong_type(
                    &entry.value,
                    &path,
                    &format!("the route `{}`", entry.key),
                    "a list of rules, such as `[{plugin: python}]`",
                );
                continue;
            };
            let mut rules = Vec::new();
            for (index, element) in elements.iter().enumerate() {
                rules.extend(self.rule(element, &path.clone().index(index), &entry.key));
            }
            self.read.routes.push((entry.key.clone(), rules));
        }
    }

    /// What is wrong with routes as a whole: patterns, captures, two that match the same paths.
    fn follow_routes(&mut self, tree: &Node) {
        let Err(error) = routing(self.names.iter().map(|name| (*name).to_owned()), &self.read.routes) else { return };
        let route = match &error {
            RouteError::Pattern { route, .. }
            | RouteError::Empty { route }
            | RouteError::UnknownPlugin { route, .. }
            | RouteError::Template { route, .. } => route,
            RouteError::Duplicate { second, .. } => second,
        };
        let path = Path::root().field("routes").field(route);
        let span = tree.get("routes").and_then(|routes| routes.entry(route)).map_or(tree.span, |entry| entry.key_span);
        self.mistake(Code::InvalidRoute, &path, span, error.to_string(), None);
    }

    fn rule(&mut self, node: &'a Node, path: &Path, route: &str) -> Option<Rule> {
        let what = format!("a rule of the route `{route}`");
        let mut rule = Rule::default();
        for member in self.members(node, path, &what, &keys::RULE) {
            let path = path.clone().field(&member.key);
            match member.key.as_str() {
                "plugin" => {
                    rule.plugin = self.text(&member.value, &path, "`plugin`")?;
                    self.check_plugin(&rule.plugin, &path, member.value.span);
                }
                "component" => rule.component = Some(self.text(&member.value, &path, "`component`")?),
                _ => {}
            }
        }
        if rule.plugin.is_empty() && node.get("plugin").is_none() && matches!(node.content, Content::Object(_)) {
            let message = format!("{what} names no `plugin`");
            self.mistake(Code::MissingKey, path, node.span, message, None);
        }
        Some(rule)
    }

    fn check_plugin(&mut self, name: &str, path: &Path, span: Span) {
        if self.names.contains(&name) {
            return;
        }
        let help = match suggest::nearest(name, self.names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.names.is_empty() => "`plugins` is empty".to_owned(),
            None => format!("the plugins are {}", listed(self.names.iter().copied())),
        };
        self.mistake(Code::InvalidRoute, path, span, format!("there is no plugin `{name}`"), Some(help));
    }

    /// Only the store that there is may be named.
    fn state_store(&mut self, entry: &'a Entry, path: &Path) {
        let before = self.read.not_built.len();
        let _ = self.kind(&entry.value, path, "`stateStore`", &keys::STATE_STORE_TYPES);
        if self.read.not_built.len() == before {
            self.members(&entry.value, path, "`stateStore`", &keys::STATE_STORE);
        } else {
            let mut whole = Diagnostics::default();
            whole.extend(std::mem::take(&mut self.read.not_built).into_iter().take(before));
            self.read.not_built = whole;
            let kind = entry.value.get("type").and_then(Node::as_str).unwrap_or_default();
            self.not_built(path, entry.key_span, &format!("`stateStore` of the type `{kind}`"));
        }
    }

    /// The value of `type`.
    fn kind(&mut self, node: &'a Node, path: &Path, what: &str, known: &Keys) -> Option<&'a str> {
        if !matches!(node.content, Content::Object(_)) {
            self.wrong_type(node, path, what, "an object");
            return None;
        }
        let Some(kind) = node.get("type") else {
            let help = format!("the types are {}", listed(known.built.iter().copied()));
            self.mistake(Code::MissingKey, path, node.span, format!("{what} has no `type`"), Some(help));
            return None;
        };
        let Some(name) = kind.as_str() else {
            self.wrong_type(kind, path, "`type`", "a string");
            return None;
        };
        if known.has(name) {
            return Some(name);
        }
        if known.plans(name) {
            self.not_built(path, kind.span, &format!("the type `{name}`"));
            return None;
        }
        let help = match suggest::nearest(name, known.all()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the types are {}", listed(known.built.iter().copied())),
        };
        self.mistake(Code::InvalidType, path, kind.span, format!("{what} has the unknown type `{name}`"), Some(help));
        None
    }

    /// The members that mean something here; the others are reported.
    fn members(&mut self, node: &'a Node, path: &Path, what: &str, known: &Keys) -> Vec<&'a Entry> {
        let mut members = Vec::new();
        for entry in self.entries(node, path, what) {
            let here = path.clone().field(&entry.key);
            if known.has(&entry.key) {
                members.push(entry);
            } else if known.plans(&entry.key) {
                self.not_built(&here, entry.key_span, &format!("`{}`", entry.key));
            } else {
                let help = match suggest::nearest(&entry.key, known.all()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the keys are {}", listed(known.built.iter().copied())),
                };
                let message = format!("{what} has the unknown key `{}`", entry.key);
                self.mistake(Code::MisspeltKey, &here, entry.key_span, message, Some(help));
            }
        }
        members
    }

    /// The members of an object; `null` is an absent one.
    fn entries(&mut self, node: &'a Node, path: &Path, what: &str) -> Vec<&'a Entry> {
        match &node.content {
            Content::Null => Vec::new(),
            Content::Object(entries) => entries.iter().filter(|entry| !entry.value.is_null()).collect(),
            _ => {
                self.wrong_type(node, path, what, "an object");
                Vec::new()
            }
        }
    }

    fn texts(&mut self, node: &'a Node, path: &Path) -> Option<Vec<String>> {
        let Content::Array(elements) = &node.content else {
            self.wrong_type(node, path, "`args`", "a list of strings");
            return None;
        };
        let read = |(index, element)| self.text(element, &path.clone().index(index), "an element of `args`");
        Some(elements.iter().enumerate().filter_map(read).collect())
    }

    /// A string, filled in; a number counts as its digits.
    fn text(&mut self, node: &'a Node, path: &Path, what: &str) -> Option<String> {
        let text = match &node.content {
            Content::String(text) => text,
            Content::Number(digits) => digits,
            _ => {
                self.wrong_type(node, path, what, "a string");
                return None;
            }
        };
        match fill(text, self.environment) {
            Ok(filled) => Some(filled),
            Err(problem) => {
                let help = "set it, or give a default as in `${NAME:-default}`".to_owned();
                let message = format!("{what} cannot be filled in: {problem}");
                self.mistake(Code::UndefinedRequiredVariable, path, node.span, message, Some(help));
                None
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, path: &Path, what: &str, expected: &str) {
        let message = format!("{what} must be {expected}, and is {}", node.kind().name());
        self.mistake(Code::InvalidType, path, node.span, message, None);
    }

    fn not_built(&mut self, path: &Path, span: Span, what: &str) {
        let diagnostic = Diagnostic::new(Code::NotBuilt, path, format!("{what} is not built yet"));
        self.read.not_built.push(diagnostic.at(Some(span)));
    }

    fn mistake(&mut self, code: Code, path: &Path, span: Span, message: String, help: Option<String>) {
        let mut diagnostic = Diagnostic::new(code, path, message).at(Some(span));
        diagnostic.help = help;
        self.read.mistakes.push(diagnostic);
    }
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
