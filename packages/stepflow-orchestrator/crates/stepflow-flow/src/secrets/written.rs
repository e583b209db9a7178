//! Secrets that are written into a document: the default of a secret variable, the input of a test case. Diagnostics
//! must not repeat them.

use std::collections::HashMap;

use serde_json::json;

use super::{Mask, Secrets, reading, spelling};
use crate::diagnostics::Diagnostics;
use crate::document::Schemas;
use crate::json_pointer;
use crate::node::{Content, Node};
use crate::path::{Path, Segment};
use crate::source::{Source, Span};

/// The parts of a flow that have a schema and values.
const PARTS: [&str; 3] = ["input", "output", "variables"];

/// The secrets in a document.
#[derive(Debug, Default)]
pub struct WrittenSecrets {
    spans: Vec<Span>,
    mask: Mask,
}

impl WrittenSecrets {
    /// The secrets of a flow and of the flows inside it. These are the values that their schemas mark: in the schemas
    /// themselves, in defaults of expressions, in examples and in test cases.
    #[must_use]
    pub fn in_flow(tree: &Node) -> Self {
        let mut found = Self::default();
        found.add_flow(tree);
        found.add_flows_inside(tree);
        found
    }

    /// The secrets in overrides of a flow with these variables.
    #[must_use]
    pub fn in_overrides(tree: &Node, variables: &Secrets) -> Self {
        let mut found = Self::default();
        found.add_defaults(tree, variables);
        found
    }

    /// Hides them in the diagnostics and in the parts of the text that these show.
    pub fn hide_in(self, diagnostics: &mut Diagnostics, source: &mut Source) {
        diagnostics.hide(&self.mask);
        source.hidden = self.spans;
    }

    /// A flow in a step's input is recognised by its sections, with or without `$literal`.
    fn add_flows_inside(&mut self, node: &Node) {
        let parts = node.entries().iter().map(|entry| &entry.value).chain(node.elements());
        for part in parts {
            if part.get("schemas").is_some() || part.get("steps").is_some() {
                self.add_flow(part);
            }
            self.add_flows_inside(part);
        }
    }

    fn add_flow(&mut self, tree: &Node) {
        let section = tree.get("schemas");
        let schemas = section.map(|section| Schemas::new(section.to_value())).unwrap_or_default();
        let [input, output, variables] = PARTS.map(|part| Secrets::of_flow(&schemas, part));
        let variables = variables.and(old_variables(tree));
        let mut within = InSchemas { section, followed: HashMap::new(), found: self };
        for (name, secrets) in PARTS.iter().zip([&input, &output, &variables]) {
            if let Some(schema) = part(section, name) {
                within.add_schema(schema, secrets);
            }
        }
        let old = ["variables", "inputSchema", "outputSchema"].map(|key| tree.get(key));
        section.into_iter().chain(old.into_iter().flatten()).for_each(|schemas| within.add_marked(schemas));
        self.add_defaults(tree, &variables);
        let cases = tree.get("test").and_then(|test| test.get("cases"));
        for example in [tree.get("examples"), cases].into_iter().flatten().flat_map(Node::elements) {
            self.add_member(example, "input", &input);
            self.add_member(example, "variables", &variables);
            if let Some(expected) = example.get("output") {
                self.add_member(expected, "result", &output);
            }
        }
    }

    fn add(&mut self, node: &Node, secrets: &Secrets) {
        if secrets.is_all() {
            self.spans.push(node.span);
            self.mask.add(secrets, &node.to_value());
            return;
        }
        if secrets.is_none() {
            return;
        }
        node.entries().iter().for_each(|entry| self.add(&entry.value, &secrets.field(&entry.key)));
        node.elements().iter().enumerate().for_each(|(index, element)| self.add(element, &secrets.element(index)));
    }

    fn add_member(&mut self, node: &Node, name: &str, secrets: &Secrets) {
        if let Some(member) = node.get(name) {
            self.add(member, secrets);
        }
    }

    /// The defaults of secret variables in expressions.
    fn add_defaults(&mut self, node: &Node, variables: &Secrets) {
        if variables.is_none() {
            return;
        }
        if let (Some(variable), Some(default)) = (node.get("$variable").and_then(Node::as_str), node.get("default")) {
            let path = Path::parse(variable).unwrap_or_default();
            match path.segments() {
                [Segment::Field(name), ..] if variables.field(name).is_none() => {}
                _ => self.add(default, &Secrets::all()),
            }
        }
        node.entries().iter().for_each(|entry| self.add_defaults(&entry.value, variables));
        node.elements().iter().for_each(|element| self.add_defaults(element, variables));
    }
}

/// Collects the secrets in the schemas of one flow.
struct InSchemas<'t, 'f> {
    section: Option<&'t Node>,
    /// The targets of references so far, and what was secret there.
    followed: HashMap<Span, Secrets>,
    found: &'f mut WrittenSecrets,
}

impl<'t> InSchemas<'t, '_> {
    /// The values that a schema holds, or several schemas of the same value.
    fn add_schema(&mut self, schema: &'t Node, secrets: &Secrets) {
        if secrets.is_none() {
            return;
        }
        schema.elements().iter().for_each(|one| self.add_schema(one, secrets));
        for entry in schema.entries() {
            let value = &entry.value;
            match entry.key.as_str() {
                "default" | "const" => self.found.add(value, secrets),
                "enum" | "examples" if !value.elements().is_empty() => {
                    value.elements().iter().for_each(|element| self.found.add(element, secrets));
                }
                "enum" | "examples" => self.found.add(value, secrets),
                "properties" => {
                    value.entries().iter().for_each(|one| self.add_schema(&one.value, &secrets.field(&one.key)));
                }
                "items" => self.add_schema(value, &secrets.element(usize::MAX)),
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    value.as_str().iter().for_each(|reference| self.follow(reference, secrets));
                }
                _ => self.add_schema(value, secrets),
            }
        }
    }

    /// Adds the values of schemas that are marked themselves, wherever they are.
    fn add_marked(&mut self, node: &'t Node) {
        let is_no = |mark: &Node| matches!(mark.content, Content::Null | Content::Bool(false));
        if reading::is_marked(|keyword| node.get(keyword), is_no) {
            self.add_schema(node, &Secrets::all());
        }
        node.entries().iter().for_each(|entry| self.add_marked(&entry.value));
        node.elements().iter().for_each(|element| self.add_marked(element));
    }

    /// Adds the values in the target of a reference. A reference by anchor or address may lead anywhere in the section.
    fn follow(&mut self, reference: &str, secrets: &Secrets) {
        let decoded = |pointer: &str| String::from_utf8(spelling::percent_decoded(pointer).0).ok();
        let pointer = reference.strip_prefix('#').and_then(decoded);
        let pointer = pointer.filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let roots = || self.section.into_iter().chain(PARTS.iter().filter_map(|name| part(self.section, name)));
        let targets: Vec<&Node> = match pointer.as_deref() {
            Some(pointer) => roots()
                .filter_map(|root| pointed(root, pointer))
                .chain(self.section.and_then(|section| pointed(section, pointer.strip_prefix("/schemas")?)))
                .collect(),
            None => self.section.into_iter().collect(),
        };
        for target in targets {
            // A target that is reached again with other secrets is hidden as a whole, so that each schema is read at
            // most twice.
            let secrets = match self.followed.get(&target.span) {
                Some(before) if before.is_all() || before == secrets => continue,
                Some(_) => &Secrets::all(),
                None => secrets,
            };
            self.followed.insert(target.span, secrets.clone());
            self.add_schema(target, secrets);
        }
    }
}

/// The schema of a part of a flow.
fn part<'t>(section: Option<&'t Node>, name: &str) -> Option<&'t Node> {
    section?.get("properties")?.get(name)
}

/// The variables that the old section marks as secret.
fn old_variables(tree: &Node) -> Secrets {
    let old = tree.get("variables").and_then(|section| section.to_value().to_json().ok());
    old.map(|members| Secrets::of_document(json!({"properties": members}))).unwrap_or_default()
}

/// The node that a JSON Pointer leads to.
fn pointed<'t>(node: &'t Node, pointer: &str) -> Option<&'t Node> {
    json_pointer::names(pointer).try_fold(node, |node, name| match &node.content {
        Content::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        _ => node.get(&name),
    })
}
