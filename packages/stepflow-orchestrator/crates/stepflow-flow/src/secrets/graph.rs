//! The schemas inside a schema, and which part of a value each is about. Schemas may refer to themselves, so they are a
//! graph.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

/// The schemas inside a schema.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct Graph {
    pub places: Vec<SchemaNode>,
}

/// One schema inside a schema.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct SchemaNode {
    pub is_secret: bool,
    /// Whether a mark can be reached from here.
    pub leads_to_a_secret: bool,
    /// Schemas of the same value.
    pub same: Vec<usize>,
    /// Schemas of parts that cannot be followed: the names of members, the document in a text. A mark there makes the
    /// whole value secret.
    pub within: Vec<usize>,
    /// Schemas of members by name.
    pub members: HashMap<String, usize>,
    /// Schemas of members whose name has this pattern.
    pub patterns: Vec<(Pattern, usize)>,
    /// Schemas of the other members.
    pub other_members: Vec<usize>,
    /// Schemas of the first elements.
    pub first_elements: Vec<usize>,
    /// Schemas of elements at every index.
    pub elements: Vec<usize>,
}

/// A regular expression as a schema understands it.
#[derive(Clone)]
pub(crate) struct Pattern {
    text: String,
    /// `None` when it is invalid: then it matches every name, and at worst too much is redacted.
    validator: Option<Arc<jsonschema::Validator>>,
}

impl SchemaNode {
    pub fn member(&self, name: &str) -> Vec<usize> {
        let named = self.members.get(name).copied();
        let by_pattern = self.patterns.iter().filter(|(pattern, _)| pattern.fits(name)).map(|(_, place)| *place);
        let found: Vec<usize> = named.into_iter().chain(by_pattern).collect();
        if found.is_empty() { self.other_members.clone() } else { found }
    }

    fn next(&self) -> impl Iterator<Item = &usize> {
        let members = self.members.values().chain(self.patterns.iter().map(|(_, place)| place));
        let same = self.same.iter().chain(&self.within);
        same.chain(members).chain(&self.other_members).chain(&self.first_elements).chain(&self.elements)
    }
}

impl Pattern {
    pub fn new(text: &str) -> Self {
        let schema = serde_json::json!({"pattern": text});
        Self { text: text.to_owned(), validator: jsonschema::validator_for(&schema).ok().map(Arc::new) }
    }

    fn fits(&self, name: &str) -> bool {
        self.validator.as_ref().is_none_or(|validator| validator.is_valid(&Json::from(name)))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

impl Graph {
    /// Whether a schema is used in more than one place.
    pub fn has_shared_schemas(&self) -> bool {
        let mut used = vec![0_u32; self.places.len()];
        used[0] = 1;
        self.places.iter().flat_map(SchemaNode::next).for_each(|next| used[*next] += 1);
        used.into_iter().any(|times| times > 1)
    }

    /// The schemas of the same value as this one, and of its parts that cannot be followed.
    pub fn same(&self, schema: usize) -> impl Iterator<Item = usize> {
        let node = &self.places[schema];
        node.same.iter().chain(&node.within).copied()
    }

    /// The schemas of a member.
    pub fn member(&self, schema: usize, name: &str) -> Vec<usize> {
        self.places[schema].member(name)
    }

    /// The schemas of an element.
    pub fn element(&self, schema: usize, index: usize) -> Vec<usize> {
        let node = &self.places[schema];
        node.first_elements.get(index).into_iter().chain(&node.elements).copied().collect()
    }

    /// All schemas, each after those that lead to it for the same value, as far as that is possible.
    pub fn in_order(&self) -> Vec<usize> {
        let mut seen = vec![false; self.places.len()];
        let mut turns = Vec::with_capacity(seen.len());
        for first in 0..seen.len() {
            let mut open = vec![(first, false)];
            while let Some((schema, is_done)) = open.pop() {
                if is_done {
                    turns.push(schema);
                } else if !std::mem::replace(&mut seen[schema], true) {
                    open.push((schema, true));
                    open.extend(self.same(schema).map(|next| (next, false)));
                }
            }
        }
        turns.reverse();
        turns
    }

    /// Finds the schemas from which a mark can be reached, backwards from the marks.
    pub fn mark_reachable(&mut self) {
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); self.places.len()];
        for (from, place) in self.places.iter().enumerate() {
            for to in place.next() {
                before[*to].push(from);
            }
        }
        let mut open: Vec<usize> = (0..self.places.len()).filter(|place| self.places[*place].is_secret).collect();
        while let Some(place) = open.pop() {
            if !std::mem::replace(&mut self.places[place].leads_to_a_secret, true) {
                open.extend(&before[place]);
            }
        }
    }
}
