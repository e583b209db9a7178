//! The secrets that a JSON Schema marks: a value is followed through the graph of its schemas.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use super::graph::{Graph, SchemaNode};
use super::reading;

/// The schemas that apply to a part of a value: all of these nodes.
#[derive(Clone, PartialEq)]
pub(super) struct Marked {
    graph: Arc<Graph>,
    at: BTreeSet<usize>,
}

impl Marked {
    /// The marks of a schema; `None` when it has none.
    pub fn of(schema: &Json) -> Option<Self> {
        let mut graph = reading::graph(schema);
        graph.mark_reachable();
        let marked = Self { graph: Arc::new(graph), at: BTreeSet::new() }.moved(&[0]);
        marked.leads_to_a_secret().then_some(marked)
    }

    pub fn is_secret(&self) -> bool {
        self.places().any(|place| place.is_secret) || self.hides_names()
    }

    /// Whether the names of members are secret, or something that cannot be told apart from them.
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

    fn places(&self) -> impl Iterator<Item = &SchemaNode> {
        self.at.iter().map(|place| &self.graph.places[*place])
    }

    /// At these nodes, and at all that apply to the same value.
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
