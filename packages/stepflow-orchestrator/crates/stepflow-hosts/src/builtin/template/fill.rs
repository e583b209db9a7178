//! Fills in one template, with the limits that the template engine has itself: steps, recursion, and the length of the
//! text.

use std::io::{self, Write};

use minijinja::{Environment, Error, UndefinedBehavior};
use serde::Deserialize;
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::{MAX_TEXT, MIB, Rendered, values};

/// How many steps of its engine a template may use.
const FUEL: u64 = 10_000_000;

/// How much of the engine's error is shown, in characters: it may quote a part of the template.
const QUOTED: usize = 300;

#[derive(Deserialize)]
struct Input {
    template: String,
    values: Value,
}

/// The step's output for its input, both as JSON.
pub(super) fn fill(input: &[u8]) -> Rendered {
    let input: Input = serde_json::from_slice(input)
        .map_err(|error| FlowError::new(ErrorKind::InvalidInput, format!("the input does not fit: {error}")))?;
    let values = values::of(&input.values)?;
    let mut text = Text::default();
    let filled = environment()
        .template_from_str(&input.template)
        .and_then(|template| template.render_captured_to(values, &mut text).map(drop));
    match filled {
        // Checked first: the engine itself only knows that it could not write.
        _ if text.is_too_long => Err(too_long()),
        Err(error) => Err(failure(&error)),
        Ok(()) => {
            let text = String::from_utf8(text.bytes)
                .map_err(|error| FlowError::new(ErrorKind::OrchestratorError, error.to_string()))?;
            Ok(Value::object([("text", Value::string(&text))]))
        }
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    environment
}

/// The text that a template has made so far.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Write for Text {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.is_too_long |= self.bytes.len() + part.len() > MAX_TEXT;
        if self.is_too_long {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.write(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_long() -> FlowError {
    let message = format!("the template makes more than {} MiB of text", MAX_TEXT / MIB);
    FlowError::new(ErrorKind::InvalidInput, message)
}

fn failure(error: &Error) -> FlowError {
    let place = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
    let reason = match (error.kind(), named(error)) {
        (minijinja::ErrorKind::UndefinedError, Some(name)) => format!("`values` has no `{name}`"),
        (minijinja::ErrorKind::OutOfFuel, _) => "it takes too many steps".to_owned(),
        (kind, _) => error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}")),
    };
    let reason: String = reason.chars().take(QUOTED).collect();
    let message = format!("the template cannot be filled in{place}: {reason}");
    let data = error.line().map(|line| ("line", Value::from(line as u64)));
    FlowError::new(ErrorKind::InvalidInput, message).with(data)
}

/// The text that the error is about, such as the undefined name.
fn named(error: &Error) -> Option<String> {
    let (template, range) = (error.template_source()?, error.range()?);
    let found = template.get(range.clone())?.trim();
    // For `a.b.c` the range may be `.c` alone.
    let before = template.get(..range.start)?;
    let is_part = |next: char| next.is_alphanumeric() || next == '_' || next == '.';
    let start = if found.starts_with('.') { before.trim_end_matches(is_part).len() } else { range.start };
    let name = template.get(start..range.end)?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
