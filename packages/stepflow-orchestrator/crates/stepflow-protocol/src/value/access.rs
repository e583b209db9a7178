//! Reads a part of a value without parsing all of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Kind, Value};

/// One step of a path into a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The member of an object with this name.
    Field(String),
    /// The element of an array at this place, counted from 0.
    Index(u64),
}

impl Value {
    /// What the path leads to; the value itself for an empty path. `None` when there is nothing.
    #[must_use]
    pub fn lookup(&self, path: &[Segment]) -> Option<Self> {
        let mut found = self.as_str();
        for segment in path {
            found = child(found, segment)?;
        }
        if path.is_empty() { Some(self.clone()) } else { Some(self.part(found)) }
    }

    /// The member of this name, of an object.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Self> {
        self.lookup(&[Segment::Field(name.to_owned())])
    }

    /// An object's members in their order; none for every other type.
    #[must_use]
    pub fn members(&self) -> Vec<(String, Self)> {
        let mut members = Vec::new();
        if self.kind() == Kind::Object {
            let _ = visit(
                self.as_str(),
                Each(|key: Option<Cow<'_, str>>, value: &str| {
                    members.push((key.unwrap_or_default().into_owned(), self.part(value)));
                }),
            );
        }
        members
    }

    /// An array's elements; none for every other type.
    #[must_use]
    pub fn elements(&self) -> Vec<Self> {
        let mut elements = Vec::new();
        if self.kind() == Kind::Array {
            let _ = visit(self.as_str(), Each(|_: Option<Cow<'_, str>>, value: &str| elements.push(self.part(value))));
        }
        elements
    }

    /// A string's characters; `None` for every other type.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        serde_json::from_str(self.as_str()).ok()
    }

    /// The value as `serde_json`'s tree, for libraries that need one. Integers beyond 64 bits become floats there.
    ///
    /// # Errors
    /// When a number is too large for a float.
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        self.deserialize()
    }

    /// The value of a `serde_json` tree.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        Self::trusted(json.to_string())
    }

    /// The value of anything that can be serialised.
    ///
    /// # Errors
    ///
    /// When it has no JSON form, such as a map with keys that are not strings, or when it is nested too deeply.
    pub fn from_serialize<T: Serialize + ?Sized>(thing: &T) -> Result<Self, super::ValueError> {
        Self::of_raw(serde_json::value::to_raw_value(thing)?)
    }

    /// The value as a Rust type.
    ///
    /// # Errors
    ///
    /// When it does not have that shape.
    pub fn deserialize<T: de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(self.as_str());
        // The reader's own limit is one less than ours.
        reader.disable_recursion_limit();
        T::deserialize(&mut reader)
    }

    /// An object as a Rust type. serde alone would also accept an array of the members in their order.
    ///
    /// # Errors
    ///
    /// When it is not an object, or does not have that shape.
    pub fn deserialize_object<T: de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self.kind() {
            Kind::Object => self.deserialize(),
            other => Err(de::Error::custom(format_args!("expected an object, found {}", other.with_article()))),
        }
    }
}

/// Appends a string with its quotes and escapes.
pub(super) fn push_string(out: &mut String, text: &str) {
    // A string always has a JSON form; `Display` of serde_json's value cannot fail.
    out.push_str(&serde_json::Value::String(text.to_owned()).to_string());
}

/// The text of the member or element that `segment` names.
fn child<'a>(text: &'a str, segment: &Segment) -> Option<&'a str> {
    let mut found = None;
    let mut position = 0_u64;
    let each = Each(|key: Option<Cow<'a, str>>, value: &'a str| {
        let here = match (segment, key) {
            (Segment::Field(name), Some(key)) => *name == key,
            (Segment::Index(index), None) => *index == position,
            _ => false,
        };
        if here {
            found = Some(value);
        }
        position += 1;
    });
    visit(text, each).ok()?;
    found
}

/// Calls a function for each member (with its key) or element (without one). A scalar has none.
struct Each<F>(F);

fn visit<'a, F: FnMut(Option<Cow<'a, str>>, &'a str)>(text: &'a str, each: Each<F>) -> Result<(), serde_json::Error> {
    if !text.starts_with(['{', '[']) {
        return Ok(());
    }
    serde_json::Deserializer::from_str(text).deserialize_any(each)
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, F: FnMut(Option<Cow<'de, str>>, &'de str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            (self.0)(Some(key), value.get());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element::<&'de RawValue>()? {
            (self.0)(None, value.get());
        }
        Ok(())
    }
}
