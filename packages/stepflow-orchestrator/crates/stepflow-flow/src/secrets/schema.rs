//! The marks that a JSON Schema sets. Schemas may refer to themselves, so they are a graph here, and a value is
//! followed through it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use super::reading;

/// Where following a value has got to in a schema: all of these places apply to it.
#[derive(Clone, PartialEq)]
pub(super) struct Marked {
    graph: Arc<Graph>,
    at: BTreeSet<usize>,
}

/// The schemas of a schema.
#[derive(Debug, PartialEq, Default)]
pub(super) struct Graph {
    pub places: Vec<Place>,
}

/// One schema of a schema.
#[derive(Debug, PartialEq, Default)]
pub(super) struct Place {
    pub is_secret: bool,
    /// Whether a mark can be reached from here.
    pub leads_to_a_secret: bool,
    /// Schemas of the same value.
    pub same: Vec<usize>,
    /// Schemas of what cannot be followed: the names of members, the document in a text. A mark in there makes the
    /// value secret as a whole.
    pub within: Vec<usize>,
    /// Schemas of members by name.
    pub members: HashMap<String, usize>,
    /// Schemas of members whose name has this pattern.
    pub patterns: Vec<(Pattern, usize)>,
    /// Schemas of members that have neither.
    pub other_members: Vec<usize>,
    /// Schemas of the first elements.
    pub first_elements: Vec<usize>,
    /// Schemas of elements, wherever they stand.
    pub elements: Vec<usize>,
}

/// A regular expression as a schema understands it.
#[derive(Clone)]
pub(super) struct Pattern {
    text: String,
    /// `None` when it is none: then it stands for every name, and too much is redacted at worst.
    validator: Option<Arc<jsonschema::Validator>>,
}

impl Marked {
    /// The marks of a schema; `None` when it has none.
    pub fn of(schema: &Json) -> Option<Self> {
        let mut graph = reading::graph(schema);
        graph.spread();
        let marked = Self { graph: Arc::new(graph), at: BTreeSet::new() }.moved(&[0]);
        marked.leads_to_a_secret().then_some(marked)
    }

    pub fn is_secret(&self) -> bool {
        self.places().any(|place| place.is_secret) || self.hides_names()
    }

    /// Whether the names of members are secret, or something that cannot be told from them.
    pub fn hides_names(&self) -> bool {
        self.places().flat_map(|place| &place.within).any(|inside| self.graph.places[*inside].leads_to_a_secret)
    }

    pub fn leads_to_a_secret(&self) -> bool {
        self.places().any(|place| place.leads_to_a_secret)
    }

    pub fn field(&self, name: &str) -> Self {
        self.moved(&self.places().flat_map(|place| place.member(name)).collect::<Vec<_>>())
    }

    pub fn element(&self, index: usize) -> Self {
        let next = self.places().flat_map(|place| place.first_elements.get(index).into_iter().chain(&place.elements));
        self.moved(&next.copied().collect::<Vec<_>>())
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.at.iter().map(|place| &self.graph.places[*place])
    }

    /// At these places, and at all that apply to the same value.
    fn moved(&self, to: &[usize]) -> Self {
        let mut at = BTreeSet::new();
        let mut open = to.to_vec();
        while let Some(place) = open.pop() {
            if at.insert(place) {
                open.extend(&self.graph.places[place].same);
            }
        }
        Self { graph: Arc::clone(&self.graph), at }
    }
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Marked(at {:?} of {} places)", self.at, self.graph.places.len())
    }
}

impl Place {
    fn member(&self, name: &str) -> Vec<usize> {
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
    /// Finds out from which places a mark can be reached: backwards from the marks.
    fn spread(&mut self) {
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
