//! What the API answers: the model's words, or why there are none.

use serde::Deserialize;
use stepflow_engine::ports::Failure;
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::client::HttpAnswer;

/// The longest message, in characters.
const MESSAGE: usize = 500;

/// How much of an answer is searched for a message, in characters: more than a message with a key in it.
const QUOTED: usize = 4096;

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: ChatMessage,
}

#[derive(Deserialize)]
struct ChatMessage {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct ErrorReply {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    message: String,
}

/// The output of the component. No error contains the key that was sent, even where the answer repeats it.
pub(super) fn response(url: &str, key: Option<&str>, answer: &HttpAnswer) -> Result<Value, Failure> {
    let read = if (200..300).contains(&answer.status) { said(url, answer) } else { Err(refused(url, answer)) };
    read.map_err(|mut failure| {
        let message = match key {
            Some(key) if !key.is_empty() => failure.error.message.replace(key, "(the key)"),
            _ => failure.error.message,
        };
        // Cut after the key is hidden: half a key would not be found.
        failure.error.message = message.chars().take(MESSAGE).collect();
        failure
    })
}

fn said(url: &str, answer: &HttpAnswer) -> Result<Value, Failure> {
    let completion: Completion = serde_json::from_slice(&answer.body).map_err(|error| {
        let body = String::from_utf8_lossy(&answer.body);
        failed(url, answer, &format!("it is not a chat completion: {error}: {}", quoted(&body)))
    })?;
    let said = completion.choices.into_iter().next().map(|choice| choice.message);
    match said {
        Some(ChatMessage { content: Some(content), .. }) => Ok(Value::object([("response", Value::string(&content))])),
        Some(ChatMessage { refusal: Some(refusal), .. }) => {
            Err(failed(url, answer, &format!("the model refused: {}", quoted(&refusal))))
        }
        _ => Err(failed(url, answer, "it has no choice with a text")),
    }
}

fn refused(url: &str, answer: &HttpAnswer) -> Failure {
    let told: Option<ErrorReply> = serde_json::from_slice(&answer.body).ok();
    let reason =
        told.map_or_else(|| String::from_utf8_lossy(&answer.body).into_owned(), |refusal| refusal.error.message);
    let (kind, retryable) = match answer.status {
        429 | 503 => (ErrorKind::ResourceUnavailable, None),
        408 | 500.. => (ErrorKind::ComponentFailed, None),
        // The same request would be refused again.
        _ => (ErrorKind::ComponentFailed, Some(false)),
    };
    let message = format!("`{url}` answered with status {}: {}", answer.status, quoted(&reason));
    Failure { error: FlowError::new(kind, message).with(data(url, answer)), retryable, retry_after: answer.retry_after }
}

fn failed(url: &str, answer: &HttpAnswer, problem: &str) -> Failure {
    let message = format!("the answer of `{url}` cannot be used: {problem}");
    FlowError::new(ErrorKind::ComponentFailed, message).with(data(url, answer)).into()
}

fn data(url: &str, answer: &HttpAnswer) -> [(&'static str, Value); 2] {
    [("url", Value::string(url)), ("status", Value::from(u64::from(answer.status)))]
}

fn quoted(text: &str) -> String {
    if text.trim().is_empty() { "(nothing)".to_owned() } else { text.chars().take(QUOTED).collect() }
}
