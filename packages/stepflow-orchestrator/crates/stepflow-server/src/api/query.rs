//! The query of a request. A parameter that is unknown, is given twice or has the wrong type is refused with its name: to
//! ignore it would change what was asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use stepflow_flow::suggest;

use super::error::Error;
use crate::wording::{cut, name_list};

/// How many characters of a query an error repeats.
const SHOWN: usize = 100;

/// The parameters of a route. The fields of `T` are their names.
pub struct Query<T>(pub T);

/// The query of a route without parameters.
#[derive(Debug, Deserialize)]
pub struct NoParameters {}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let refused = |problem: QueryError| Error::invalid_request(problem.to_string());
        let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Error::invalid_request(error.body_text()))?;
        T::deserialize(Pairs(pairs)).map(Self).map_err(refused)
    }
}

/// Why a query is refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct QueryError(String);

impl serde::de::Error for QueryError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(format!("the query cannot be read: {message}"))
    }
}

struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn check(&self, known: &'static [&'static str]) -> Result<(), QueryError> {
        let mut seen = BTreeSet::new();
        for (name, _) in &self.0 {
            if !known.contains(&name.as_str()) {
                return Err(unknown(name, known));
            }
            if !seen.insert(name) {
                return Err(QueryError(format!("the parameter `{name}` is given twice")));
            }
        }
        Ok(())
    }
}

fn unknown(name: &str, known: &'static [&'static str]) -> QueryError {
    let help = match suggest::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it takes none".to_owned(),
        None => format!("it takes {}", name_list(known)),
    };
    QueryError(format!("this route has no parameter `{}`: {help}", cut(name, SHOWN)))
}

impl<'de> Deserializer<'de> for Pairs {
    type Error = QueryError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        self.check(known)?;
        let parameters = self.0.into_iter().map(|(name, text)| (name.clone(), Parameter { name, text }));
        visitor.visit_map(MapDeserializer::new(parameters))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, QueryError> {
        Err(serde::de::Error::custom("its type does not say which parameters there are"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The text of one parameter, read as the type of its field.
struct Parameter {
    name: String,
    text: String,
}

impl Parameter {
    fn parse<T: FromStr>(&self, expected: &str) -> Result<T, QueryError> {
        self.text.parse().map_err(|_| self.must_be(expected))
    }

    fn must_be(&self, expected: &str) -> QueryError {
        let found = if self.text.is_empty() { "empty".to_owned() } else { format!("`{}`", cut(&self.text, SHOWN)) };
        QueryError(format!("the parameter `{}` must be {expected}, and is {found}", self.name))
    }
}

impl IntoDeserializer<'_, QueryError> for Parameter {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Parameter {
    type Error = QueryError;

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_bool(self.parse("`true` or `false`")?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_u32(self.parse(&format!("a whole number from 0 to {}", u32::MAX))?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_u64(self.parse(&format!("a whole number from 0 to {}", u64::MAX))?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        let word: serde::de::value::StringDeserializer<QueryError> = self.text.clone().into_deserializer();
        // Only the type knows whether a word has other spellings.
        visitor.visit_enum(word).map_err(|_| self.must_be(&format!("one of {}", name_list(words))))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_string(self.text)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
