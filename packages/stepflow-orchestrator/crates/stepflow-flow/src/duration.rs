//! Lengths of time as flows and configurations write them: `500ms`, `30s`, `1h30m`, or a number of seconds.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use stepflow_protocol::Value;

/// A length of time and how its author wrote it: the flow id keeps the author's spelling.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeSpan {
    written: Value,
    duration: Duration,
}

/// Raised when a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: {problem}")]
pub struct DurationError {
    text: String,
    problem: &'static str,
}

/// The longest duration: with a hundred years, every deadline is still a valid date.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Units and their length in milliseconds, longest first: `1h30m`, never `30m1h`.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl TimeSpan {
    /// Reads what an author wrote: a text with units or a number of seconds.
    ///
    /// # Errors
    /// When it is neither, negative, or longer than a hundred years.
    pub fn from_value(written: Value) -> Result<Self, DurationError> {
        let duration = match written.text() {
            Some(text) => parse(&text)?,
            None => from_seconds(&written)?,
        };
        Ok(Self { written, duration })
    }

    /// The length of time.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// What the author wrote.
    #[must_use]
    pub fn written(&self) -> &Value {
        &self.written
    }
}

/// Reads a text such as `1h30m`: whole numbers with units, from the longest to the shortest.
///
/// # Errors
/// When it is not one, or longer than a hundred years.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let error = |problem| DurationError { text: text.to_owned(), problem };
    let mut rest = text.trim();
    let mut units = UNITS.as_slice();
    let mut total = 0_u64;
    if rest.is_empty() {
        return Err(error("it is empty"));
    }
    while !rest.is_empty() {
        let digits = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().map_err(|_| error("expected a whole number with a unit"))?;
        let letters = rest[digits..].find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(rest.len() - digits);
        let unit = &rest[digits..digits + letters];
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(|| {
            error(match UNITS.iter().any(|(name, _)| *name == unit) {
                true => "longer units go first, each once",
                false if unit.is_empty() => "expected a unit: `ms`, `s`, `m`, `h` or `d`",
                false => "the units are `ms`, `s`, `m`, `h` and `d`",
            })
        })?;
        total = number
            .checked_mul(units[place].1)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| error("it is longer than a hundred years"))?;
        units = &units[place + 1..];
        rest = &rest[digits + letters..];
    }
    bounded(Duration::from_millis(total)).ok_or_else(|| error("it is longer than a hundred years"))
}

fn from_seconds(written: &Value) -> Result<Duration, DurationError> {
    let error = |problem| DurationError { text: written.as_str().to_owned(), problem };
    let seconds: f64 =
        written.deserialize().map_err(|_| error("expected a text such as `30s`, or a number of seconds"))?;
    if seconds < 0.0 {
        return Err(error("it is negative"));
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(bounded)
        .ok_or_else(|| error("it is longer than a hundred years"))
}

fn bounded(duration: Duration) -> Option<Duration> {
    (duration <= LONGEST).then_some(duration)
}

impl JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number"], "description": "A time such as `500ms`, `30s`, `1h30m`, or a number of seconds."})
    }
}
