//! Reads a JSON Schema as the graph of its schemas. References are resolved by the library that also validates. One
//! that leads nowhere, or anywhere, makes its whole value secret: it is better to redact too much than too little.

use std::collections::HashMap;

use referencing::{Draft, Registry, Resolver, uri};
use serde_json::Value as Json;

use super::graph::{Graph, Pattern, SchemaNode};

/// The base of references in a schema that has no `$id`.
const BASE: &str = "json-schema:///";

/// Keywords whose value is a schema of the same value.
const SAME: [&str; 4] = ["if", "then", "else", "not"];
/// Keywords whose value is a list or an object of schemas of the same value.
const SAME_SEVERAL: [&str; 5] = ["allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies"];
const WITHIN: [&str; 2] = ["propertyNames", "contentSchema"];
const ELEMENTS: [&str; 4] = ["items", "contains", "additionalItems", "unevaluatedItems"];
const OTHER_MEMBERS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];

/// The graph of a schema; the schema itself is the first.
pub(crate) fn graph(schema: &Json) -> Graph {
    let base = uri::from_str(BASE);
    let registry = Registry::new().add(BASE, schema).and_then(|registry| registry.prepare());
    let (Ok(base), Ok(registry)) = (base, registry) else { return unresolved() };
    let mut builder = GraphBuilder {
        draft: Draft::default().detect(schema),
        graph: Graph::default(),
        known: HashMap::new(),
        open: Vec::new(),
        dynamic_references: Vec::new(),
        dynamic_anchors: Vec::new(),
    };
    builder.inside(schema, &registry.resolver(base));
    while let Some((place, schema, resolver)) = builder.open.pop() {
        builder.graph.places[place] = builder.read(place, schema, &resolver);
    }
    builder.linked()
}

/// For an invalid schema: another check says why.
fn unresolved() -> Graph {
    Graph { places: vec![secret()] }
}

fn secret() -> SchemaNode {
    SchemaNode { is_secret: true, ..SchemaNode::default() }
}

/// Makes the graph. It has one node for each pair of a schema and the base of its references.
struct GraphBuilder<'s> {
    draft: Draft,
    graph: Graph,
    known: HashMap<(*const Json, String), usize>,
    open: Vec<(usize, &'s Json, Resolver<'s>)>,
    /// The nodes with a `$dynamicRef` or a `$recursiveRef`.
    dynamic_references: Vec<usize>,
    /// The possible targets of dynamic references. Which one it is depends on the way there, so all count.
    dynamic_anchors: Vec<usize>,
}

impl<'s> GraphBuilder<'s> {
    /// The node of a schema inside the one that this resolver is for. An `$id` changes the base of its references.
    fn inside(&mut self, schema: &'s Json, around: &Resolver<'s>) -> usize {
        match around.in_subresource(self.draft.create_resource_ref(schema)) {
            Ok(resolver) => self.place(schema, resolver),
            Err(_) => self.push(secret()),
        }
    }

    fn place(&mut self, schema: &'s Json, resolver: Resolver<'s>) -> usize {
        let key = (std::ptr::from_ref(schema), resolver.base_uri().as_str().to_owned());
        if let Some(place) = self.known.get(&key) {
            return *place;
        }
        let place = self.push(SchemaNode::default());
        self.known.insert(key, place);
        self.open.push((place, schema, resolver));
        place
    }

    fn push(&mut self, place: SchemaNode) -> usize {
        self.graph.places.push(place);
        self.graph.places.len() - 1
    }

    fn read(&mut self, at: usize, schema: &'s Json, resolver: &Resolver<'s>) -> SchemaNode {
        let Json::Object(schema) = schema else { return SchemaNode::default() };
        if schema.contains_key("$dynamicAnchor") || schema.contains_key("$recursiveAnchor") {
            self.dynamic_anchors.push(at);
        }
        let is_no = |mark: &Json| matches!(mark, Json::Null | Json::Bool(false));
        let is_secret = is_marked(|keyword| schema.get(keyword), is_no);
        let mut place = SchemaNode { is_secret, ..SchemaNode::default() };
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Json::String(reference)) => {
                    place.same.push(self.target(reference, resolver));
                    if keyword != "$ref" {
                        self.dynamic_references.push(at);
                    }
                }
                // Read only for their dynamic anchors; the ones that are used are referred to.
                ("$defs" | "definitions", Json::Object(schemas)) => {
                    schemas.values().for_each(|schema| _ = self.inside(schema, resolver));
                }
                ("properties", Json::Object(members)) => {
                    let members = members.iter().map(|(name, member)| (name.clone(), self.inside(member, resolver)));
                    place.members.extend(members);
                }
                ("patternProperties", Json::Object(members)) => {
                    let members = members.iter().map(|(text, it)| (Pattern::new(text), self.inside(it, resolver)));
                    place.patterns.extend(members);
                }
                ("prefixItems" | "items", Json::Array(elements)) => {
                    place.first_elements = elements.iter().map(|element| self.inside(element, resolver)).collect();
                }
                (keyword, Json::Array(schemas)) if SAME_SEVERAL.contains(&keyword) => {
                    place.same.extend(schemas.iter().map(|schema| self.inside(schema, resolver)));
                }
                (keyword, Json::Object(schemas)) if SAME_SEVERAL.contains(&keyword) => {
                    place.same.extend(schemas.values().map(|schema| self.inside(schema, resolver)));
                }
                (keyword, Json::Object(_)) => {
                    let list = match keyword {
                        _ if SAME.contains(&keyword) => &mut place.same,
                        _ if WITHIN.contains(&keyword) => &mut place.within,
                        _ if ELEMENTS.contains(&keyword) => &mut place.elements,
                        _ if OTHER_MEMBERS.contains(&keyword) => &mut place.other_members,
                        _ => continue,
                    };
                    list.push(self.inside(value, resolver));
                }
                _ => {}
            }
        }
        place
    }

    fn linked(mut self) -> Graph {
        for place in self.dynamic_references {
            self.graph.places[place].same.extend(&self.dynamic_anchors);
        }
        self.graph
    }

    fn target(&mut self, reference: &str, resolver: &Resolver<'s>) -> usize {
        match resolver.lookup(reference) {
            Ok(target) => {
                let (schema, resolver, _) = target.into_inner();
                self.place(schema, resolver)
            }
            Err(_) => self.push(secret()),
        }
    }
}

/// Whether a schema is marked. Everything that is not clearly "no" is a "yes": `"true"`, 1. The rest of the language is
/// in camel case, so that spelling counts, too.
pub(super) fn is_marked<V>(keyword: impl Fn(&str) -> Option<V>, is_no: impl Fn(V) -> bool) -> bool {
    ["is_secret", "isSecret"].into_iter().filter_map(keyword).any(|mark| !is_no(mark))
}
