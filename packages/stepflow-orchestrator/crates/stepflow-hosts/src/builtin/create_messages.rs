//! `/create_messages`: the messages that a chat model takes, from a prompt and instructions.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use stepflow_engine::ports::{Failure, Purity};
use stepflow_protocol::Value;

use super::openai::message_schema;
use super::{About, Builtin, Resources, read};

pub(super) struct CreateMessages;

#[derive(Deserialize)]
struct Input {
    user_prompt: String,
    system_instructions: Option<String>,
}

impl Builtin for CreateMessages {
    fn about(&self) -> About {
        About {
            path: "/create_messages",
            description: "Makes the `messages` of a chat from a prompt and, where there are some, instructions.",
            purity: Purity::Pure,
        }
    }

    fn input_schema(&self) -> Json {
        json!({
            "type": "object",
            "properties": {
                "user_prompt": {"type": "string", "description": "What the user says."},
                "system_instructions": {"type": ["string", "null"], "description": "How the model is to behave."},
            },
            "required": ["user_prompt"],
            "additionalProperties": false,
        })
    }

    fn output_schema(&self) -> Json {
        json!({
            "type": "object",
            "properties": {"messages": {"type": "array", "items": message_schema()}},
            "required": ["messages"],
        })
    }

    fn run(&self, input: Value, _resources: Arc<Resources>) -> BoxFuture<'static, Result<Value, Failure>> {
        ready(read(&input).map(|input| messages(&input))).boxed()
    }
}

fn messages(input: &Input) -> Value {
    let system = input.system_instructions.as_ref().map(|text| message("system", text));
    let messages = system.into_iter().chain([message("user", &input.user_prompt)]);
    Value::object([("messages", Value::array(messages))])
}

fn message(role: &str, content: &str) -> Value {
    Value::object([("role", Value::string(role)), ("content", Value::string(content))])
}
