//! `/template`: fills a Jinja template in.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use minijinja::{Environment, Error, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use stepflow_engine::ports::{Failure, Purity};
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::{Builtin, World, read};

/// The work that a template may cause, in steps of its engine: loops inside loops could keep a thread for ever.
const FUEL: u64 = 10_000_000;

pub(super) struct Template;

#[derive(Deserialize)]
struct Input {
    template: String,
    values: serde_json::Map<String, Json>,
}

impl Builtin for Template {
    fn path(&self) -> &'static str {
        "/template"
    }

    fn description(&self) -> &'static str {
        "Fills a Jinja template in. A name that `values` does not have is an error."
    }

    fn purity(&self) -> Purity {
        Purity::Pure
    }

    fn input_schema(&self) -> Json {
        json!({
            "type": "object",
            "properties": {
                "template": {"type": "string", "description": "Such as `Hello {{ name }}`."},
                "values": {"type": "object", "description": "What the names in the template stand for."},
            },
            "required": ["template", "values"],
            "additionalProperties": false,
        })
    }

    fn output_schema(&self) -> Json {
        json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]})
    }

    fn run(&self, input: Value, _world: Arc<World>) -> BoxFuture<'static, Result<Value, Failure>> {
        async move {
            let input: Input = read(&input)?;
            let filling = tokio::task::spawn_blocking(move || fill(&input));
            let text =
                filling.await.map_err(|error| FlowError::new(ErrorKind::OrchestratorError, error.to_string()))?;
            Ok(Value::object([("text", Value::string(&text?))]))
        }
        .boxed()
    }
}

fn fill(input: &Input) -> Result<String, FlowError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    environment.render_str(&input.template, &input.values).map_err(|error| failure(&error))
}

fn failure(error: &Error) -> FlowError {
    let place = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
    let reason = match (error.kind(), named(error)) {
        (minijinja::ErrorKind::UndefinedError, Some(name)) => format!("`values` has no `{name}`"),
        (minijinja::ErrorKind::OutOfFuel, _) => "it takes too many steps".to_owned(),
        (kind, _) => error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}")),
    };
    let message = format!("the template cannot be filled in{place}: {reason}");
    let data = error.line().map(|line| ("line", Value::from(line as u64)));
    FlowError::new(ErrorKind::InvalidInput, message).with(data)
}

/// The text that the error is about, such as the undefined name.
fn named(error: &Error) -> Option<String> {
    let (template, range) = (error.template_source()?, error.range()?);
    let found = template.get(range.clone())?.trim();
    // Of `a.b.c` the range may be `.c` alone.
    let before = template.get(..range.start)?;
    let is_part = |next: char| next.is_alphanumeric() || next == '_' || next == '.';
    let start = if found.starts_with('.') { before.trim_end_matches(is_part).len() } else { range.start };
    let name = template.get(start..range.end)?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
