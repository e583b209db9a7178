//! What stands behind the `?` of a request. A parameter that a route does not know is a mistake: it would have changed
//! what the caller gets.

use std::collections::BTreeSet;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::value::Error as Unread;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use stepflow_flow::suggest;

use super::error::Error;

/// The parameters of a route, a struct whose fields are all optional.
pub struct Query<T>(pub T);

/// Of a route that has none.
#[derive(Debug, Deserialize)]
pub struct NoParameters {}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        use axum::extract::Query as Parsed;
        let wrong = |text: String| Error::invalid_request(text.replace("Failed to deserialize query string: ", ""));
        let Parsed(given) = Parsed::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| wrong(format!("the query cannot be read: {}", error.body_text())))?;
        let known = fields_of::<T>();
        let mut seen = BTreeSet::new();
        for (name, _) in &given {
            if !known.contains(&name.as_str()) {
                return Err(unknown(name, known));
            }
            if !seen.insert(name.as_str()) {
                return Err(Error::invalid_request(format!("the parameter `{name}` is given twice")));
            }
        }
        Parsed::try_from_uri(&parts.uri)
            .map(|Parsed(query)| Self(query))
            .map_err(|error| wrong(format!("a parameter does not fit: {}", error.body_text())))
    }
}

fn unknown(name: &str, known: &[&str]) -> Error {
    let help = match (suggest::nearest(name, known.iter().copied()), known) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "it takes none".to_owned(),
        (None, known) => format!("it takes `{}`", known.join("`, `")),
    };
    Error::invalid_request(format!("this route has no parameter `{name}`: {help}"))
}

/// The names of a struct's fields, as serde knows them.
fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    // It reads nothing, so it always fails: what counts is what it was asked for.
    let _ = T::deserialize(Names(&mut names));
    names
}

struct Names<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Unread;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Unread> {
        *self.0 = fields;
        Err(Unread::custom("only the names are read"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unread> {
        Err(Unread::custom("a query is a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
