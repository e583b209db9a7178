//! What the API answers: the model's words, or why there are none.

use std::time::Duration;

use serde::Deserialize;
use stepflow_engine::ports::Failure;
use stepflow_protocol::{ErrorKind, FlowError, Value};

use crate::http::Answer;

/// The most of an answer that is quoted in a message, in characters.
const QUOTED: usize = 300;

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    message: String,
}

/// The output of the component.
pub(super) fn response(url: &str, answer: &Answer) -> Result<Value, Failure> {
    if !(200..300).contains(&answer.status) {
        return Err(refused(url, answer));
    }
    let completion: Completion = serde_json::from_slice(&answer.body)
        .map_err(|error| failed(url, answer, &format!("it is no chat completion: {error}: {}", quoted(answer))))?;
    let said = completion.choices.into_iter().next().map(|choice| choice.message);
    match said {
        Some(Said { content: Some(content), .. }) => Ok(Value::object([("response", Value::string(&content))])),
        Some(Said { refusal: Some(refusal), .. }) => Err(failed(url, answer, &format!("the model refused: {refusal}"))),
        _ => Err(failed(url, answer, "it has no choice with a text")),
    }
}

fn refused(url: &str, answer: &Answer) -> Failure {
    let told: Option<Refusal> = serde_json::from_slice(&answer.body).ok();
    let reason = told.map_or_else(|| quoted(answer), |refusal| refusal.error.message);
    let (kind, retryable) = match answer.status {
        429 | 503 => (ErrorKind::ResourceUnavailable, None),
        408 | 500.. => (ErrorKind::ComponentFailed, None),
        // The same request would be refused again.
        _ => (ErrorKind::ComponentFailed, Some(false)),
    };
    let message = format!("`{url}` answered with status {}: {reason}", answer.status);
    let retry_after = answer.retry_after.map(Duration::from_secs);
    Failure { error: FlowError::new(kind, message).with(data(url, answer)), retryable, retry_after }
}

fn failed(url: &str, answer: &Answer, problem: &str) -> Failure {
    let message = format!("the answer of `{url}` cannot be used: {problem}");
    FlowError::new(ErrorKind::ComponentFailed, message).with(data(url, answer)).into()
}

fn data(url: &str, answer: &Answer) -> [(&'static str, Value); 2] {
    [("url", Value::string(url)), ("status", Value::from(u64::from(answer.status)))]
}

fn quoted(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    if text.trim().is_empty() { "(nothing)".to_owned() } else { text.chars().take(QUOTED).collect() }
}
