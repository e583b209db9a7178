//! `/openai`: asks a chat model, at OpenAI or at any server that speaks its API.

mod address;
mod client;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use stepflow_engine::ports::{Failure, Purity};
use stepflow_protocol::{ErrorKind, FlowError, Value};

use reqwest::header::HeaderValue;

use super::{About, Builtin, Resources, read};
use address::RequestUrl;
pub use address::base_url_problem;
pub(super) use client::Client;
use client::{MAX_ANSWER, NoAnswer};

/// Where OpenAI itself is.
const OPENAI: &str = "https://api.openai.com/v1";

/// The default model, the same as in the published component.
const MODEL: &str = "gpt-3.5-turbo";

/// What the config and the environment say of OpenAI.
#[derive(Clone, Default)]
pub struct OpenAiOptions {
    /// The server's own key. It goes to the server's own `base_url` and nowhere else: a flow may come from a stranger,
    /// who could send it to any address.
    pub api_key: Option<String>,
    /// Where requests without a `base_url` go; OpenAI itself when absent.
    pub base_url: Option<String>,
    /// What a step's `base_url` may be, or begin with, besides `base_url`; OpenAI itself when absent.
    pub base_urls: Option<Vec<String>>,
    /// How long a question and its whole answer may take; 10 min when absent.
    pub timeout: Option<Duration>,
}

impl std::fmt::Debug for OpenAiOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let api_key = self.api_key.as_ref().map(|_| "(set)");
        f.debug_struct("OpenAiOptions")
            .field("api_key", &api_key)
            .field("base_url", &self.base_url)
            .field("base_urls", &self.base_urls)
            .field("timeout", &self.timeout)
            .finish()
    }
}

pub(super) struct OpenAi;

#[derive(Deserialize)]
struct Input {
    messages: Vec<ChatMessage>,
    model: Option<String>,
    max_tokens: Option<u32>,
    temperature: Option<f64>,
    base_url: Option<String>,
    api_key: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ChatMessage {
    role: String,
    content: String,
}

/// The body of a request, with the member names of the API.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: &'a [ChatMessage],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
}

/// JSON Schema of a message of a chat.
pub(super) fn message_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "role": {"enum": ["system", "user", "assistant"]},
            "content": {"type": "string"},
        },
        "required": ["role", "content"],
        "additionalProperties": false,
    })
}

impl Builtin for OpenAi {
    fn about(&self) -> About {
        About {
            path: "/openai",
            description: "Asks a chat model, at OpenAI or at any server that speaks its API.",
            purity: Purity::External,
        }
    }

    fn waits(&self) -> bool {
        true
    }

    fn input_schema(&self) -> Json {
        json!({
            "type": "object",
            "properties": {
                "messages": {"type": "array", "items": message_schema(), "minItems": 1},
                "model": {"type": ["string", "null"], "default": MODEL},
                "max_tokens": {
                    "type": ["integer", "null"],
                    "minimum": 1,
                    "maximum": u32::MAX,
                    "description": "The longest answer, in tokens; the model's own limit when absent.",
                },
                "temperature": {
                    "type": ["number", "null"],
                    "minimum": 0,
                    "maximum": 2,
                    "description": "How much chance there is in the answer; the model's own setting when absent.",
                },
                "base_url": {
                    "type": ["string", "null"],
                    "pattern": "^https?://",
                    "default": OPENAI,
                    "description": "Of a server with this API that the config allows. The server's own key is not sent there.",
                },
                "api_key": {"type": ["string", "null"], "description": "The server's own when absent."},
            },
            "required": ["messages"],
            "additionalProperties": false,
        })
    }

    fn output_schema(&self) -> Json {
        json!({"type": "object", "properties": {"response": {"type": "string"}}, "required": ["response"]})
    }

    fn run(&self, input: Value, resources: Arc<Resources>) -> BoxFuture<'static, Result<Value, Failure>> {
        async move {
            let input: Input = read(&input)?;
            let options = &resources.options.openai;
            let address = RequestUrl::of(input.base_url.as_deref(), options)?;
            let own_key = options.api_key.as_deref().filter(|_| address.is_own);
            let key = input.api_key.as_deref().or(own_key);
            if key.is_none() && address.needs_key {
                return Err(no_key());
            }
            let (bearer, body) = (key.map(bearer).transpose()?, body(&input)?);
            let url = address.url.as_str();
            let answer = resources.openai.post(&address.url, bearer, body, options.timeout).await;
            let answer = answer.map_err(|why| no_answer_failure(url, why))?;
            reply::response(url, key, &answer)
        }
        .boxed()
    }
}

fn body(input: &Input) -> Result<Vec<u8>, FlowError> {
    let request = Request {
        model: input.model.as_deref().unwrap_or(MODEL),
        messages: &input.messages,
        max_tokens: input.max_tokens,
        temperature: input.temperature,
    };
    serde_json::to_vec(&request).map_err(|error| FlowError::new(ErrorKind::OrchestratorError, error.to_string()))
}

fn no_key() -> Failure {
    let message = "OpenAI needs a key: set OPENAI_API_KEY where the server runs, or give the step an `api_key`";
    Failure { error: FlowError::new(ErrorKind::InvalidInput, message), retryable: Some(false), retry_after: None }
}

/// The header that carries the key. The error for a bad key does not repeat it.
fn bearer(key: &str) -> Result<HeaderValue, FlowError> {
    let mut header = HeaderValue::from_str(&format!("Bearer {key}"))
        .map_err(|_| FlowError::new(ErrorKind::InvalidInput, "the key for the model is not one line of ASCII"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The failure of a step that got no answer.
fn no_answer_failure(url: &str, why: NoAnswer) -> Failure {
    let (kind, message, retryable) = match why {
        NoAnswer::Unreachable(reason) => (ErrorKind::Unreachable, format!("`{url}` cannot be reached: {reason}"), None),
        NoAnswer::TooLong => {
            let most = MAX_ANSWER / 1024 / 1024;
            (ErrorKind::ComponentFailed, format!("the answer of `{url}` is longer than {most} MiB"), Some(false))
        }
    };
    Failure { error: FlowError::new(kind, message).with([("url", Value::string(url))]), retryable, retry_after: None }
}
