//! The marks that a JSON Schema sets. Schemas may refer to themselves, so they are a graph here, and a value is
//! followed through it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

/// Where following a value has got to in a schema: all of these places apply to it.
#[derive(Clone, PartialEq)]
pub(super) struct Marked {
    graph: Arc<Graph>,
    at: BTreeSet<usize>,
}

#[derive(Debug, PartialEq, Default)]
struct Graph {
    places: Vec<Place>,
}

/// One schema of a schema.
#[derive(Debug, PartialEq, Default)]
struct Place {
    is_secret: bool,
    /// Whether a mark can be reached from here.
    leads_to_a_secret: bool,
    /// Schemas of the same value.
    same: Vec<usize>,
    /// Schemas of members by name.
    members: HashMap<String, usize>,
    /// Schemas of members that are not named, or by pattern, which is not looked at: too much is redacted at worst.
    other_members: Vec<usize>,
    /// Schemas of the first elements.
    first_elements: Vec<usize>,
    /// Schemas of elements, wherever they stand.
    elements: Vec<usize>,
}

/// Keywords whose value is a schema of the same value.
const SAME: [&str; 4] = ["if", "then", "else", "not"];
/// Keywords whose value is a list of such schemas.
const SAME_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const ELEMENTS: [&str; 4] = ["items", "contains", "additionalItems", "unevaluatedItems"];
const OTHER_MEMBERS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];

impl Marked {
    /// The marks of a schema; `None` when it has none.
    pub fn of(schema: &Json) -> Option<Self> {
        let mut builder = Builder { root: schema, graph: Graph::default(), known: HashMap::new(), open: Vec::new() };
        let root = builder.place("");
        while let Some((place, pointer)) = builder.open.pop() {
            builder.read(place, &pointer);
        }
        let mut graph = builder.graph;
        graph.spread();
        let marked = Self { graph: Arc::new(graph), at: BTreeSet::new() }.moved(&[root]);
        marked.leads_to_a_secret().then_some(marked)
    }

    pub fn is_secret(&self) -> bool {
        self.places().any(|place| place.is_secret)
    }

    pub fn leads_to_a_secret(&self) -> bool {
        self.places().any(|place| place.leads_to_a_secret)
    }

    pub fn field(&self, name: &str) -> Self {
        let next = self.places().flat_map(|place| match place.members.get(name) {
            Some(member) => std::slice::from_ref(member),
            None => place.other_members.as_slice(),
        });
        self.moved(&next.copied().collect::<Vec<_>>())
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
    fn next(&self) -> impl Iterator<Item = &usize> {
        let members = self.members.values().chain(&self.other_members);
        self.same.iter().chain(members).chain(&self.first_elements).chain(&self.elements)
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

/// Makes the graph, one place for each JSON pointer that is a schema.
struct Builder<'s> {
    root: &'s Json,
    graph: Graph,
    known: HashMap<String, usize>,
    open: Vec<(usize, String)>,
}

impl Builder<'_> {
    fn place(&mut self, pointer: &str) -> usize {
        if let Some(place) = self.known.get(pointer) {
            return *place;
        }
        let place = self.graph.places.len();
        self.graph.places.push(Place::default());
        self.known.insert(pointer.to_owned(), place);
        self.open.push((place, pointer.to_owned()));
        place
    }

    fn read(&mut self, place: usize, pointer: &str) {
        let root = self.root;
        let Some(Json::Object(schema)) = root.pointer(pointer) else { return };
        let mut read = Place { is_secret: schema.get("is_secret") == Some(&Json::Bool(true)), ..Place::default() };
        for (keyword, value) in schema {
            let here = format!("{pointer}/{}", escaped(keyword));
            match (keyword.as_str(), value) {
                ("$ref", Json::String(reference)) => {
                    read.same.extend(reference.strip_prefix('#').map(|target| self.place(&decoded(target))));
                }
                ("properties", Json::Object(members)) => {
                    let members =
                        members.keys().map(|name| (name.clone(), self.place(&format!("{here}/{}", escaped(name)))));
                    read.members.extend(members);
                }
                ("patternProperties", Json::Object(members)) => {
                    read.other_members
                        .extend(members.keys().map(|name| self.place(&format!("{here}/{}", escaped(name)))));
                }
                ("dependentSchemas", Json::Object(members)) => {
                    read.same.extend(members.keys().map(|name| self.place(&format!("{here}/{}", escaped(name)))));
                }
                ("prefixItems" | "items", Json::Array(elements)) => {
                    read.first_elements = self.list(&here, elements.len())
                }
                (keyword, Json::Array(schemas)) if SAME_LISTS.contains(&keyword) => {
                    read.same.extend(self.list(&here, schemas.len()));
                }
                (keyword, Json::Object(_)) if SAME.contains(&keyword) => read.same.push(self.place(&here)),
                (keyword, Json::Object(_)) if ELEMENTS.contains(&keyword) => read.elements.push(self.place(&here)),
                (keyword, Json::Object(_)) if OTHER_MEMBERS.contains(&keyword) => {
                    read.other_members.push(self.place(&here));
                }
                _ => {}
            }
        }
        self.graph.places[place] = read;
    }

    fn list(&mut self, pointer: &str, length: usize) -> Vec<usize> {
        (0..length).map(|index| self.place(&format!("{pointer}/{index}"))).collect()
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A reference's fragment without percent signs.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
