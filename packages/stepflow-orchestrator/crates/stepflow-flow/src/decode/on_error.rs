//! Reads `onError`, and the backoffs in configurations.

use std::time::Duration;

use stepflow_protocol::{ErrorKind, Value};

use super::old;
use crate::decoder::{Decoder, Fields};
use crate::diagnostics::Code;
use crate::document::ErrorHandling;
use crate::node::Node;
use crate::retry::{Backoff, DEFAULT_MAX_RETRIES, DEFAULT_RETRY_ON, Exhausted, OnError, RetryPolicy};

#[derive(Clone, Copy)]
enum OnErrorAction {
    Fail,
    UseDefault,
    Retry,
}

const ACTIONS: [(&str, OnErrorAction); 3] =
    [("fail", OnErrorAction::Fail), ("useDefault", OnErrorAction::UseDefault), ("retry", OnErrorAction::Retry)];

const KINDS: [ErrorKind; 10] = [
    ErrorKind::InvalidInput,
    ErrorKind::ExpressionFailure,
    ErrorKind::ComponentNotFound,
    ErrorKind::ComponentFailed,
    ErrorKind::WorkerError,
    ErrorKind::Timeout,
    ErrorKind::Cancelled,
    ErrorKind::Unreachable,
    ErrorKind::ResourceUnavailable,
    ErrorKind::OrchestratorError,
];

pub(super) fn on_error(decoder: &mut Decoder, node: &Node) -> Option<ErrorHandling> {
    if let Some((word, _)) = node.as_str().and_then(|text| ACTIONS.iter().find(|(word, _)| *word == text)) {
        return decoder.mismatch_help(node, "an object", format!("write `onError: {{action: {word}}}`"));
    }
    let mut fields = decoder.fields(node)?;
    let action = fields.required(decoder, "action", |decoder, node| action(decoder, node, &ACTIONS));
    let policy = action.map(|action| match action {
        OnErrorAction::Fail => OnError::Fail,
        OnErrorAction::UseDefault => OnError::UseDefault(default_value(&mut fields)),
        OnErrorAction::Retry => OnError::Retry(retry(decoder, &mut fields)),
    });
    for key in MEMBERS {
        fields.ignore(key);
    }
    fields.close(decoder);
    Some(ErrorHandling { policy: policy?, written: written(node) })
}

/// The members in the order of the canonical form.
const MEMBERS: [&str; 6] = ["action", "defaultValue", "maxRetries", "backoff", "retryOn", "exhausted"];

fn written(node: &Node) -> Value {
    let members = MEMBERS.iter().filter_map(|key| {
        let value = node.get(key).filter(|value| !value.is_null())?;
        Some((*key, value.to_value()))
    });
    Value::object(members)
}

fn action<T: Copy>(decoder: &mut Decoder, node: &Node, actions: &[(&str, T)]) -> Option<T> {
    match old::ACTIONS.iter().find(|(name, _)| node.as_str() == Some(name)) {
        Some((name, advice)) => {
            decoder
                .report(Code::OldSpelling, node.span, format!("the action `{name}` is an old spelling"))
                .help(*advice);
            None
        }
        None => decoder.word(node, actions),
    }
}

fn default_value(fields: &mut Fields<'_>) -> Value {
    fields.get("defaultValue").map_or_else(Value::null, Node::to_value)
}

fn retry(decoder: &mut Decoder, fields: &mut Fields<'_>) -> RetryPolicy {
    RetryPolicy {
        max_retries: fields.optional(decoder, "maxRetries", Decoder::unsigned).unwrap_or(DEFAULT_MAX_RETRIES),
        backoff: fields.optional(decoder, "backoff", backoff),
        retry_on: fields
            .optional(decoder, "retryOn", |decoder, node| decoder.each(node, kind))
            .unwrap_or_else(|| DEFAULT_RETRY_ON.to_vec()),
        exhausted: fields.optional(decoder, "exhausted", exhausted).unwrap_or_default(),
    }
}

fn kind(decoder: &mut Decoder, node: &Node) -> Option<ErrorKind> {
    decoder.word(node, &KINDS.map(|kind| (kind.name(), kind)))
}

fn exhausted(decoder: &mut Decoder, node: &Node) -> Option<Exhausted> {
    let mut fields = decoder.fields(node)?;
    let action = fields.required(decoder, "action", |decoder, node| action(decoder, node, &ACTIONS[..2]));
    let exhausted = action.map(|action| match action {
        OnErrorAction::UseDefault => Exhausted::UseDefault(default_value(&mut fields)),
        OnErrorAction::Fail | OnErrorAction::Retry => Exhausted::Fail,
    });
    fields.ignore("defaultValue");
    fields.close(decoder);
    exhausted
}

#[derive(Clone, Copy)]
enum BackoffType {
    Constant,
    Exponential,
    Fibonacci,
}

const TYPES: [(&str, BackoffType); 3] = [
    ("constant", BackoffType::Constant),
    ("exponential", BackoffType::Exponential),
    ("fibonacci", BackoffType::Fibonacci),
];

/// The members of all backoffs.
const BACKOFF_MEMBERS: [&str; 8] =
    ["delay", "delayMs", "initial", "minDelayMs", "max", "maxDelayMs", "factor", "jitter"];

/// Reads a backoff of a step or of a configuration, also with the published keys in milliseconds (`minDelayMs`,
/// `maxDelayMs`, `delayMs`).
pub fn backoff(decoder: &mut Decoder, node: &Node) -> Option<Backoff> {
    let mut fields = decoder.fields(node)?;
    let one = Duration::from_secs(1);
    let ten = Duration::from_secs(10);
    let kind = fields.required(decoder, "type", |decoder, node| decoder.word(node, &TYPES));
    let Some(kind) = kind else {
        // The type decides which keys are allowed, and it could not be read.
        BACKOFF_MEMBERS.iter().for_each(|key| fields.ignore(key));
        fields.close(decoder);
        return None;
    };
    let backoff = match kind {
        BackoffType::Constant => Backoff::Constant { delay: time(decoder, &mut fields, "delay", "delayMs", one) },
        BackoffType::Exponential => Backoff::Exponential {
            initial: time(decoder, &mut fields, "initial", "minDelayMs", one),
            max: time(decoder, &mut fields, "max", "maxDelayMs", ten),
            factor: fields.optional(decoder, "factor", factor).unwrap_or(2.0),
            jitter: fields.optional(decoder, "jitter", Decoder::boolean).unwrap_or(true),
        },
        BackoffType::Fibonacci => Backoff::Fibonacci {
            initial: time(decoder, &mut fields, "initial", "minDelayMs", one),
            max: time(decoder, &mut fields, "max", "maxDelayMs", ten),
        },
    };
    fields.close(decoder);
    Some(backoff)
}

fn time(
    decoder: &mut Decoder,
    fields: &mut Fields<'_>,
    key: &'static str,
    milliseconds: &'static str,
    absent: Duration,
) -> Duration {
    let written = fields.optional(decoder, key, Decoder::time_span).map(|span| span.duration());
    let published = fields.optional(decoder, milliseconds, Decoder::unsigned).map(Duration::from_millis);
    written.or(published).unwrap_or(absent)
}

fn factor(decoder: &mut Decoder, node: &Node) -> Option<f64> {
    let factor = decoder.number(node)?;
    if factor < 1.0 {
        decoder.report(Code::InvalidType, node.span, "`factor` must be at least 1");
        return None;
    }
    Some(factor)
}
