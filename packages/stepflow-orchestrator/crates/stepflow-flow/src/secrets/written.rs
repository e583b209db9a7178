//! Secrets that are written into a document: the default of a secret variable, the input of a test case. Whoever says
//! what is wrong with the document does not repeat them.

use super::{Mask, Secrets};
use crate::diagnostics::Diagnostics;
use crate::document::Schemas;
use crate::node::{Content, Node};
use crate::path::{Path, Segment};
use crate::source::{Source, Span};

/// The secrets in a document.
#[derive(Debug, Default)]
pub struct WrittenSecrets {
    spans: Vec<Span>,
    mask: Mask,
}

impl WrittenSecrets {
    /// Those in a flow: what its schemas mark, in the schemas themselves, in defaults of expressions, examples and test
    /// cases.
    #[must_use]
    pub fn in_flow(tree: &Node) -> Self {
        let mut found = Self::default();
        let Some(section) = tree.get("schemas") else { return found };
        let schemas = Schemas::new(section.to_value());
        let of = |part: &str| Secrets::of_flow(&schemas, part);
        let (input, output, variables) = (of("input"), of("output"), of("variables"));
        for (part, secrets) in [("input", &input), ("output", &output), ("variables", &variables)] {
            if let Some(schema) = section.get("properties").and_then(|parts| parts.get(part)) {
                found.add_schema(schema, secrets);
            }
        }
        found.add_marked(section);
        found.add_defaults(tree, &variables);
        let cases = tree.get("test").and_then(|test| test.get("cases"));
        for example in [tree.get("examples"), cases].into_iter().flatten().flat_map(Node::elements) {
            found.add_member(example, "input", &input);
            if let Some(expected) = example.get("output") {
                found.add_member(expected, "result", &output);
            }
        }
        found
    }

    /// Those in overrides of a flow with such variables.
    #[must_use]
    pub fn in_overrides(tree: &Node, variables: &Secrets) -> Self {
        let mut found = Self::default();
        found.add_defaults(tree, variables);
        found
    }

    /// Takes them out of what is said about the document.
    pub fn hide_in(self, diagnostics: &mut Diagnostics, source: &mut Source) {
        diagnostics.hide(&self.mask);
        source.hidden = self.spans;
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

    /// The values that a schema holds, or several schemas of the same value.
    fn add_schema(&mut self, schema: &Node, secrets: &Secrets) {
        if secrets.is_none() {
            return;
        }
        schema.elements().iter().for_each(|one| self.add_schema(one, secrets));
        for entry in schema.entries() {
            let value = &entry.value;
            match entry.key.as_str() {
                "default" | "const" => self.add(value, secrets),
                "enum" | "examples" if !value.elements().is_empty() => {
                    value.elements().iter().for_each(|element| self.add(element, secrets));
                }
                "enum" | "examples" => self.add(value, secrets),
                "properties" => {
                    value.entries().iter().for_each(|one| self.add_schema(&one.value, &secrets.field(&one.key)));
                }
                "items" => self.add_schema(value, &secrets.element(usize::MAX)),
                _ => self.add_schema(value, secrets),
            }
        }
    }

    /// The values of schemas that are marked themselves, wherever they stand.
    fn add_marked(&mut self, node: &Node) {
        let mark = node.get("is_secret").map(|mark| &mark.content);
        if !matches!(mark, None | Some(Content::Null | Content::Bool(false))) {
            self.add_schema(node, &Secrets::all());
        }
        node.entries().iter().for_each(|entry| self.add_marked(&entry.value));
        node.elements().iter().for_each(|element| self.add_marked(element));
    }

    /// What stands in for a secret variable that is not given.
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
