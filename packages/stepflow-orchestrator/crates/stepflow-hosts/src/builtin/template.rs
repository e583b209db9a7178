//! `/template`: fills in a Jinja template.
//!
//! Jinja is a programming language, and a template may come from a stranger. Its engine counts instructions, but that
//! is not enough. Forty instructions can double a string until no memory is left. Comparing a list that contains itself
//! twice, forty levels deep, does not end. A list nested a million levels deep ends the process when it is dropped.
//! Nothing inside a process can stop that. So templates are rendered in separate processes (`renderers`), which limit
//! themselves (`serve`) and may die.

mod fill;
mod renderers;
mod serve;
mod values;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};
use stepflow_engine::ports::{Failure, Purity};
use stepflow_protocol::{FlowError, Value};

use super::{About, Builtin, Resources};
pub(super) use renderers::Renderers;
pub use serve::{RENDER_TEMPLATES, render_templates};

/// What a renderer answers: the step's output, or an error.
type Rendered = Result<Value, FlowError>;

/// The longest text that a template may make.
const MAX_TEXT: usize = 16 * MIB;

/// The most memory that a renderer may map.
const MAX_MEMORY: usize = 256 * MIB;

/// The most processor time that one template may use, in seconds.
const MAX_SECONDS: u64 = 5;

const MIB: usize = 1024 * 1024;

pub(super) struct Template;

impl Builtin for Template {
    fn about(&self) -> About {
        About {
            path: "/template",
            description: "Fills a Jinja template in. A name that `values` does not have is an error.",
            purity: Purity::Pure,
        }
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

    /// Dropping the future ends the renderer.
    fn waits(&self) -> bool {
        true
    }

    fn run(&self, input: Value, resources: Arc<Resources>) -> BoxFuture<'static, Result<Value, Failure>> {
        async move { Ok(resources.renderers.render(&input).await?) }.boxed()
    }
}
