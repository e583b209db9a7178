//! What a JSON Schema declares, with its references followed: which members a value has, and what is declared of each.
//! `jsonschema` checks values; references are followed here as they are there: by pointer, `$anchor` or `$id`.

use std::collections::{HashMap, VecDeque};

use indexmap::IndexSet;
use referencing::{Draft, Registry, Resolver, Resource};
use serde_json::Value as Json;

use crate::json_pointer;

/// A schema with everything that it refers to.
pub struct Document {
    registry: Registry<'static>,
}

/// The address of a document that has no `$id`.
const BASE: &str = "json-schema:///";

/// The most schemas that are followed for one value.
const MOST: usize = 64;

impl Document {
    /// `None` when a reference leads out of the document: such a schema is refused when it is compiled.
    #[must_use]
    pub fn of(schema: Json) -> Option<Self> {
        let registry = Registry::new().add(BASE, Resource::from_contents(schema)).ok()?.prepare().ok()?;
        Some(Self { registry })
    }

    /// The schema of the whole value.
    #[must_use]
    pub fn root(&self) -> Option<Subschema<'_>> {
        let base = referencing::uri::from_str(BASE).ok()?;
        let root = self.registry.resolver(base).lookup("#").ok()?;
        Some(Subschema { contents: root.contents(), resolver: root.resolver().clone() })
    }

    /// The JSON pointer of each schema and keyword, by its address in this document.
    pub(crate) fn pointers(&self) -> HashMap<*const Json, String> {
        let mut pointers = HashMap::new();
        let mut open = Vec::from_iter(self.root().map(|root| (root.contents, String::new())));
        while let Some((json, pointer)) = open.pop() {
            match json {
                Json::Object(members) => {
                    let places = members.iter();
                    open.extend(places.map(|(key, value)| (value, pointer.clone() + &json_pointer::segment(key))));
                }
                Json::Array(elements) => {
                    let places = elements.iter().enumerate();
                    open.extend(places.map(|(index, value)| (value, format!("{pointer}/{index}"))));
                }
                _ => {}
            }
            pointers.insert(std::ptr::from_ref(json), pointer);
        }
        pointers
    }
}

/// One schema of a document.
#[derive(Clone)]
pub struct Subschema<'d> {
    contents: &'d Json,
    resolver: Resolver<'d>,
}

impl<'d> Subschema<'d> {
    /// The schema as it is written.
    #[must_use]
    pub fn contents(&self) -> &'d Json {
        self.contents
    }

    /// The schema at the end of a chain of references; itself when it is not a reference. `None` for a chain without an
    /// end.
    #[must_use]
    pub fn followed(&self) -> Option<Self> {
        let mut here = self.clone();
        for _ in 0..MOST {
            let Some(reference) = here.contents.get("$ref") else { return Some(here) };
            here = here.referred(reference.as_str()?)?;
        }
        None
    }

    /// The schema under a keyword of this one, such as `items`.
    #[must_use]
    pub fn keyword(&self, keyword: &str) -> Option<Self> {
        self.contents.get(keyword).map(|schema| self.inside(schema))
    }

    /// The schema of a member under `properties`.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<Self> {
        self.contents.get("properties")?.get(name).map(|schema| self.inside(schema))
    }

    /// The schema of an element under `prefixItems`.
    #[must_use]
    pub fn prefix_item(&self, index: usize) -> Option<Self> {
        self.contents.get("prefixItems")?.get(index).map(|schema| self.inside(schema))
    }

    /// All schemas that always apply to the same value.
    #[must_use]
    pub fn declared(&self) -> Declared<'d> {
        Declared::by([self.clone()])
    }

    fn inside(&self, contents: &'d Json) -> Self {
        let resource = Draft::default().create_resource_ref(contents);
        // An `$id` that is not an address: the schema is refused elsewhere.
        let resolver = self.resolver.in_subresource(resource).unwrap_or_else(|_| self.resolver.clone());
        Self { contents, resolver }
    }

    fn referred(&self, reference: &str) -> Option<Self> {
        let target = self.resolver.lookup(reference).ok()?;
        Some(Self { contents: target.contents(), resolver: target.resolver().clone() })
    }

    /// What this schema adds: the target of its `$ref`, then the parts of its `allOf`.
    fn added(&self) -> Vec<Self> {
        let references = ["$ref", "$dynamicRef"].into_iter().filter_map(|key| self.contents.get(key)?.as_str());
        let parts = self.contents.get("allOf").and_then(Json::as_array).into_iter().flatten();
        let targets = references.filter_map(|reference| self.referred(reference));
        targets.chain(parts.map(|part| self.inside(part))).collect()
    }
}

/// All schemas that always apply to one value, the nearest first: what is written beside a `$ref` comes before its
/// target. Alternatives (`anyOf`, `if`) are not among them.
pub struct Declared<'d>(Vec<Subschema<'d>>);

impl<'d> Declared<'d> {
    fn by(schemas: impl IntoIterator<Item = Subschema<'d>>) -> Self {
        let mut open: VecDeque<Subschema<'d>> = schemas.into_iter().collect();
        let mut found: Vec<Subschema<'d>> = Vec::new();
        while let Some(next) = open.pop_front().filter(|_| found.len() < MOST) {
            if !found.iter().any(|known| std::ptr::eq(known.contents, next.contents)) {
                open.extend(next.added());
                found.push(next);
            }
        }
        Self(found)
    }

    /// The values of this keyword, the nearest first.
    pub fn all<'k>(&'k self, keyword: &'k str) -> impl Iterator<Item = &'d Json> + 'k {
        self.0.iter().filter_map(move |schema| schema.contents.get(keyword))
    }

    /// The nearest value of this keyword.
    #[must_use]
    pub fn get(&self, keyword: &str) -> Option<&'d Json> {
        self.all(keyword).next()
    }

    /// The names of the members that are declared.
    #[must_use]
    pub fn names(&self) -> IndexSet<&'d str> {
        let named = self.all("properties").filter_map(Json::as_object);
        named.flat_map(|members| members.keys().map(String::as_str)).collect()
    }

    /// What is declared of a member.
    #[must_use]
    pub fn property(&self, name: &str) -> Self {
        Self::by(self.0.iter().filter_map(|schema| schema.property(name)))
    }
}
