//! One answer of a mock, as configurations and test cases write it.

use std::time::Duration;

use stepflow_engine::ports::{Answer, Failure, Lost};
use stepflow_flow::diagnostics::Code;
use stepflow_flow::node::Content;
use stepflow_flow::{Decoder, Fields, Node};
use stepflow_protocol::{ErrorKind, FlowError, Value};

/// What a mock answers, and after which delay.
#[derive(Debug, Clone, PartialEq)]
pub struct Behavior {
    pub(super) answer: Answer,
    pub(super) delay: Duration,
}

impl From<FlowError> for Behavior {
    fn from(error: FlowError) -> Self {
        Self { answer: failed(error.into()), delay: Duration::ZERO }
    }
}

impl Behavior {
    /// This output, at once.
    #[must_use]
    pub fn output(output: Value) -> Self {
        Self { answer: Answer::Success(output), delay: Duration::ZERO }
    }

    /// Reads `{output: …}` or `{error: …}`, either with a `delay`, or a published FlowResult
    /// (`{outcome: success, result: …}`, `{outcome: failed, error: …}`).
    ///
    /// An error is a text, or `{code?, kind?, message?, data?, retryable?, retryAfter?}`. Its `code` is a number of the
    /// component's own or, as published, the name of a kind.
    pub fn decode(decoder: &mut Decoder, node: &Node) -> Option<Self> {
        let mut fields = decoder.fields(node)?;
        let behavior = Self::of(decoder, &mut fields);
        fields.close(decoder);
        behavior
    }

    /// The same for an object that may have other members.
    pub(super) fn of(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Self> {
        let delay = fields.optional(decoder, "delay", Decoder::time_span).map(|span| span.duration());
        let answer = if fields.node().get("outcome").is_some() {
            flow_result(decoder, fields)
        } else {
            output_or_error(decoder, fields)
        };
        Some(Self { answer: answer?, delay: delay.unwrap_or_default() })
    }

    /// The same with its output, if it has one, turned into another answer.
    pub(super) fn map(self, answer: impl FnOnce(Value) -> Answer) -> Self {
        match self.answer {
            Answer::Success(output) => Self { answer: answer(output), delay: self.delay },
            _ => self,
        }
    }
}

fn flow_result(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Answer> {
    let success = fields
        .required(decoder, "outcome", |decoder, node| decoder.word(node, &[("success", true), ("failed", false)]))?;
    let key = if success { "result" } else { "error" };
    let Some(value) = fields.get_or_null(key) else {
        fields.report_missing(decoder, key);
        return None;
    };
    if success {
        Some(Answer::Success(value.to_value()))
    } else {
        decoder.inside("error", |decoder| error(decoder, value))
    }
}

fn output_or_error(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Answer> {
    match (fields.get_or_null("output"), fields.get("error")) {
        (Some(output), None) => Some(Answer::Success(output.to_value())),
        (None, Some(node)) => decoder.inside("error", |decoder| error(decoder, node)),
        (Some(_), Some(_)) => {
            decoder.report(Code::InvalidType, fields.node().span, "an answer is an `output` or an `error`, not both");
            None
        }
        (None, None) => {
            decoder
                .report(Code::MissingKey, fields.node().span, "this says no answer")
                .help("write `{output: …}` or `{error: …}`");
            None
        }
    }
}

fn error(decoder: &mut Decoder, node: &Node) -> Option<Answer> {
    if let Some(message) = node.as_str() {
        return Some(failed(FlowError::new(ErrorKind::ComponentFailed, message).into()));
    }
    let mut fields = decoder.fields(node)?;
    let written = fields.optional(decoder, "kind", kind);
    let code = fields.optional(decoder, "code", code);
    let message = fields.optional(decoder, "message", Decoder::string);
    let data = fields.optional(decoder, "data", Decoder::value);
    let retryable = fields.optional(decoder, "retryable", Decoder::boolean);
    let retry_after = fields.optional(decoder, "retryAfter", Decoder::time_span).map(|span| span.duration());
    fields.close(decoder);
    let (named, number) = match code {
        Some(ErrorCode::Kind(kind)) => (Some(kind), None),
        Some(ErrorCode::Number(number)) => (None, Some(number)),
        None => (None, None),
    };
    let kind = written.or(named).unwrap_or(ErrorKind::ComponentFailed);
    let message = message.unwrap_or_else(|| "the mock failed".to_owned());
    let error = FlowError { code: number.unwrap_or_else(|| kind.code()), kind, message, data };
    Some(failed(Failure { error, retryable, retry_after }))
}

/// A failure of the kind "unreachable" counts as the loss of the worker: it uses the retries for transport errors.
fn failed(failure: Failure) -> Answer {
    match failure.error.kind {
        ErrorKind::Unreachable => {
            Answer::Lost(Lost { error: failure.error, spends: true, back_off: false, suspects: 0 })
        }
        _ => Answer::Failed(failure),
    }
}

fn kind(decoder: &mut Decoder, node: &Node) -> Option<ErrorKind> {
    let name = decoder.string(node)?;
    let kind = Value::string(&name).deserialize().ok();
    if kind.is_none() {
        decoder.report(Code::InvalidType, node.span, format!("`{name}` is not the kind of an error"));
    }
    kind
}

enum ErrorCode {
    Number(i64),
    Kind(ErrorKind),
}

fn code(decoder: &mut Decoder, node: &Node) -> Option<ErrorCode> {
    match &node.content {
        Content::String(_) => kind(decoder, node).map(ErrorCode::Kind),
        Content::Number(digits) => match digits.parse() {
            Ok(number) => Some(ErrorCode::Number(number)),
            Err(_) => decoder.mismatch(node, "a whole number"),
        },
        _ => decoder.mismatch(node, "a whole number, or the kind of an error"),
    }
}
