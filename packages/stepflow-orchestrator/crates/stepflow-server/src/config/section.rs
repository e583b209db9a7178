//! Gives the reader access to an object of the configuration, by the keys that are declared for it and by no others.

use std::time::Duration;

use stepflow_flow::TimeSpan;
use stepflow_flow::node::{Content, Node};

use super::shape::{Object, Shape};
use super::size;

/// An object of the file, and the keys that it may have.
#[derive(Clone, Copy)]
pub struct Section<'n> {
    pub node: &'n Node,
    object: &'static Object,
    /// Its `type`, where it has one.
    pub kind: Option<&'static str>,
}

impl<'n> Section<'n> {
    /// The file as a whole.
    pub fn whole(node: &'n Node, object: &'static Object) -> Self {
        Self { node, object, kind: None }
    }

    /// An object of this shape; `None` for a value that is not an object, and for a `type` that is not built.
    fn of(node: &'n Node, shape: Shape) -> Option<Self> {
        match shape {
            _ if node.is_null() => None,
            Shape::Object(object) => Some(Self { node, object, kind: None }),
            Shape::ByType(variants) => {
                let kind = scalar(node.get("type")?)?;
                let variant = variants.iter().find(|variant| variant.built && variant.name == kind)?;
                Some(Self { node, object: &variant.object, kind: Some(variant.name) })
            }
            Shape::Either(shapes) => shapes.iter().find_map(|shape| Self::of(node, *shape)),
            _ => None,
        }
    }

    fn shape(self, key: &str) -> Shape {
        let declared = self.object.key(key).filter(|key| key.built);
        debug_assert!(declared.is_some(), "`{key}` of {} is read and not declared", self.object.name);
        #[cfg(test)]
        tests::note(self.object.name, key);
        declared.map_or(Shape::Any, |key| key.shape)
    }

    /// The value of a key, which may be `null`.
    pub fn node_or_null(self, key: &str) -> Option<&'n Node> {
        self.shape(key);
        self.node.get(key)
    }

    /// The value of a key; `None` when it is absent or `null`.
    pub fn get(self, key: &str) -> Option<&'n Node> {
        self.node_or_null(key).filter(|node| !node.is_null())
    }

    /// The object of a key.
    pub fn section(self, key: &str) -> Option<Self> {
        Self::of(self.get(key)?, self.shape(key))
    }

    /// The members of a key, when the author chooses their names.
    pub fn members(self, key: &str) -> impl Iterator<Item = (&'n str, &'n Node)> {
        let entries = self.get(key).map(Node::entries).unwrap_or_default();
        entries.iter().filter(|entry| !entry.value.is_null()).map(|entry| (entry.key.as_str(), &entry.value))
    }

    /// The members that are objects with declared keys.
    pub fn sections(self, key: &str) -> impl Iterator<Item = (&'n str, Self)> {
        let Shape::Map { of, .. } = self.shape(key) else { return None.into_iter().flatten() };
        let sections = self.members(key).filter_map(|(name, node)| Some((name, Self::of(node, *of)?)));
        Some(sections).into_iter().flatten()
    }

    /// The elements of a list of objects, or of a member that is such a list.
    pub fn elements(node: &'n Node, shape: Shape) -> impl Iterator<Item = Self> {
        node.elements().iter().filter_map(move |element| Self::of(element, shape.element()))
    }

    /// The elements of a key that is a list of objects.
    pub fn list(self, key: &str) -> impl Iterator<Item = Self> {
        let shape = self.shape(key);
        self.get(key).into_iter().flat_map(move |list| Self::elements(list, shape))
    }

    /// What a member of a key may be.
    pub fn member_shape(self, key: &str) -> Shape {
        self.shape(key).member("", None)
    }

    pub fn text(self, key: &str) -> Option<String> {
        self.get(key).and_then(scalar)
    }

    pub fn texts(self, key: &str) -> Option<Vec<String>> {
        Some(self.get(key)?.elements().iter().filter_map(scalar).collect())
    }

    pub fn number<N: TryFrom<u64>>(self, key: &str) -> Option<N> {
        match &self.get(key)?.content {
            Content::Number(digits) => digits.parse::<u64>().ok().and_then(|number| N::try_from(number).ok()),
            _ => None,
        }
    }

    pub fn flag(self, key: &str) -> Option<bool> {
        match self.get(key)?.content {
            Content::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    pub fn bytes(self, key: &str) -> Option<usize> {
        usize::try_from(size::parse(&self.text(key)?)?).ok()
    }

    pub fn time(self, key: &str) -> Option<Duration> {
        TimeSpan::from_value(self.get(key)?.to_value()).ok().map(|span| span.duration())
    }
}

/// A string, or the text of a number or boolean.
pub fn scalar(node: &Node) -> Option<String> {
    match &node.content {
        Content::String(text) => Some(text.clone()),
        Content::Number(digits) => Some(digits.clone()),
        Content::Bool(truth) => Some(truth.to_string()),
        Content::Null | Content::Array(_) | Content::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use serde_json::{Map, Value as Json, json};
    use stepflow_flow::{Source, read_node};

    use super::*;
    use crate::config::origins::Origins;
    use crate::config::{keys, reader};

    thread_local! {
        static READ: RefCell<BTreeSet<(&'static str, String)>> = RefCell::default();
    }

    pub fn note(object: &'static str, key: &str) {
        READ.with(|read| read.borrow_mut().insert((object, key.to_owned())));
    }

    /// Objects that other crates read.
    const READ_ELSEWHERE: [&str; 3] = ["ConstantBackoff", "ExponentialBackoff", "FibonacciBackoff"];

    /// Keys for which only one value is built, so that there is nothing to read.
    const ONE_VALUE: [(&str, &str); 1] = [("Config", "leaseManager")];

    /// Values that set every key that is built, one value for each `type`. Adds those keys to `declared`.
    fn values(shape: Shape, declared: &mut BTreeSet<(&'static str, String)>) -> Vec<Json> {
        match shape {
            Shape::Flag => vec![json!(true)],
            Shape::Whole { least, .. } => vec![json!(least.max(1))],
            Shape::Factor => vec![json!(2)],
            Shape::Time => vec![json!("1s")],
            Shape::Size => vec![json!("1MiB")],
            Shape::Path => vec![json!("$.a")],
            Shape::Word(words) => vec![json!(words[0])],
            Shape::Text | Shape::Scalar | Shape::Host | Shape::Origin | Shape::Any => vec![json!("x")],
            Shape::List { of, .. } => vec![Json::Array(values(*of, declared))],
            Shape::Map { of, .. } => {
                let all = values(*of, declared).into_iter().enumerate();
                vec![Json::Object(all.map(|(index, value)| (format!("m{index}"), value)).collect())]
            }
            Shape::Object(object) => members(object, declared),
            Shape::ByType(variants) => {
                let built = variants.iter().filter(|variant| variant.built);
                let typed = built.flat_map(|variant| {
                    members(&variant.object, declared).into_iter().map(|mut value| {
                        value["type"] = json!(variant.name);
                        value
                    })
                });
                typed.collect()
            }
            Shape::Either(shapes) => shapes.iter().flat_map(|shape| values(*shape, declared)).collect(),
        }
    }

    /// Objects in which each value of each key occurs.
    fn members(object: &'static Object, declared: &mut BTreeSet<(&'static str, String)>) -> Vec<Json> {
        let mut all = vec![Map::new()];
        for key in object.keys.iter().filter(|key| key.built) {
            declared.insert((object.name, key.name.to_owned()));
            let values = values(key.shape, declared);
            let most = all.len().max(values.len());
            all = (0..most).map(|index| all[index.min(all.len() - 1)].clone()).collect();
            for (index, members) in all.iter_mut().enumerate() {
                if let Some(value) = values.get(index.min(values.len().saturating_sub(1))) {
                    members.insert(key.name.to_owned(), value.clone());
                }
            }
        }
        all.into_iter().map(Json::Object).collect()
    }

    #[test]
    fn every_key_that_is_declared_is_read() {
        let mut declared = BTreeSet::new();
        for value in values(Shape::Object(&keys::ROOT), &mut declared) {
            let tree = read_node(&Source::json("config", value.to_string())).unwrap();
            reader::read(&tree, Origins::default());
        }
        let read = READ.with(|read| read.borrow().clone());
        let unread = declared
            .difference(&read)
            .filter(|(object, key)| !READ_ELSEWHERE.contains(object) && !ONE_VALUE.contains(&(object, key.as_str())));
        let unread: Vec<_> = unread.collect();
        assert!(unread.is_empty(), "declared and not read: {unread:?}");
    }
}
