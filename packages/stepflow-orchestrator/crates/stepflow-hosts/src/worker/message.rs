//! One message of a worker, read in one pass. Outputs and params are kept as text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use stepflow_protocol::{ComponentInfo, RpcError, Value, ValueError, WorkerCapabilities};

use super::broken::{self, BrokenMessage};

/// What a line from a worker says.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    /// A request of the worker; its id is copied into the answer as it came.
    Request { id: &'a RawValue, method: Cow<'a, str>, params: Option<&'a RawValue> },
    /// A request that breaks the protocol.
    Malformed { id: String, problem: String },
    /// A notification of the worker.
    Notification { method: Cow<'a, str> },
    /// The worker's answer to the request of this number.
    Answer { id: i64, body: Body },
}

/// The content of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// Of an execute.
    Output(Value),
    /// Of an execute whose output is not a valid value; the text says why.
    Refused(String),
    /// Of the handshake.
    Handshake(Handshake),
    /// The request was refused, or the component failed.
    Error(RpcError),
    /// A message that is too long; the text says by how much.
    TooLong(String),
    /// Something that is not the protocol; the text says what.
    Malformed(String),
}

/// How much longer a message is than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// How many bytes of it were read.
    pub(crate) size: usize,
    /// Whether that was the whole message.
    pub(crate) is_whole: bool,
    pub(crate) limit: usize,
}

impl TooLong {
    /// An error when a message of this size is too long.
    pub(crate) fn check(size: usize, limit: usize) -> Result<(), Self> {
        if size > limit { Err(Self { size, is_whole: true, limit }) } else { Ok(()) }
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, is_whole, limit } = self;
        let more = if *is_whole { "" } else { "more than " };
        write!(f, "it has {more}{size} bytes, and a message may have {limit} (`maxMessageSize`): ")?;
        f.write_str("pass large values in parts, or as files")
    }
}

/// The results that the server asks for once, in the handshake.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    pub(crate) capabilities: Option<WorkerCapabilities>,
    pub(crate) components: Option<Vec<ComponentInfo>>,
    /// The components that are left out because their description is not valid JSON, and why. The others can still be
    /// called.
    pub(crate) left_out: Vec<String>,
}

/// The envelope with all members that any message has.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<Outcome<'a>>,
    #[serde(borrow, default)]
    error: Option<RawError<'a>>,
}

/// An error whose data has not been looked at.
#[derive(Deserialize)]
struct RawError<'a> {
    code: i64,
    message: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// All members that any result has: reading them together is why one pass is enough.
#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    output: Option<&'a RawValue>,
    #[serde(default)]
    capabilities: Option<WorkerCapabilities>,
    #[serde(borrow, default)]
    components: Option<Vec<&'a RawValue>>,
}

/// What can still be read of a message whose members have wrong types.
#[derive(Deserialize)]
struct Misshapen<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
}

/// The first line of a process that serves HTTP.
#[derive(Deserialize)]
struct Announcement {
    port: u16,
    #[serde(default)]
    jsonrpc: Option<IgnoredAny>,
}

/// The port on which the worker that wrote this line serves HTTP.
pub(crate) fn announced_port(line: &[u8]) -> Option<u16> {
    match serde_json::from_slice(line) {
        // serde would read an array as the members in their order.
        Ok(Announcement { port, jsonrpc: None }) if line.trim_ascii_start().starts_with(b"{") => Some(port),
        _ => None,
    }
}

/// Tells `"output": null` (an output) from no `output`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Message<'a> {
    /// Reads a line; the error says why it is not a message.
    pub(crate) fn read(line: &'a [u8]) -> Result<Self, String> {
        // serde would read an array as the members in their order.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err("it is not a JSON object".to_owned());
        }
        let parsed: Envelope<'a> = match serde_json::from_slice(line) {
            Ok(parsed) => parsed,
            Err(error) => return Self::read_misshapen(line, &error.to_string()),
        };
        match parsed {
            Envelope { id: Some(id), method: Some(method), params, result: None, error: None } => {
                Ok(Self::Request { id, method, params })
            }
            Envelope { id: None, method: Some(method), result: None, error: None, .. } => {
                Ok(Self::Notification { method })
            }
            Envelope { id: Some(id), method: None, result, error, .. } => {
                Ok(Self::Answer { id: number(id)?, body: Body::of(result, error) })
            }
            _ => Self::read_misshapen(line, "it is neither a request nor an answer"),
        }
    }

    /// An answer of the wrong shape still ends its request; anything else is skipped.
    fn read_misshapen(line: &'a [u8], problem: &str) -> Result<Self, String> {
        match serde_json::from_slice::<Misshapen<'a>>(line) {
            Ok(Misshapen { id: Some(id), method: None, .. }) => {
                Ok(Self::Answer { id: number(id)?, body: Body::Malformed(problem.to_owned()) })
            }
            Ok(Misshapen { id: Some(id), method: Some(_), .. }) => {
                Ok(Self::Malformed { id: id.get().to_owned(), problem: problem.to_owned() })
            }
            Ok(_) => Err(problem.to_owned()),
            Err(_) => Self::broken(line, problem),
        }
    }

    /// The same for a message that is not JSON: an answer ends its request, and a request gets an error.
    fn broken(line: &[u8], problem: &str) -> Result<Self, String> {
        let refused = |problem, tells| if tells { Body::Refused(problem) } else { Body::Malformed(problem) };
        Self::of_broken(broken::broken_message(line), format!("not JSON: {problem}"), refused)
    }

    /// A message that is too long to be read, from what is known of it.
    pub(crate) fn too_long(broken_message: BrokenMessage, problem: &TooLong) -> Result<Self, String> {
        Self::of_broken(broken_message, problem.to_string(), |problem, _| Body::TooLong(problem))
    }

    fn of_broken(
        broken_message: BrokenMessage,
        problem: String,
        refused: impl FnOnce(String, bool) -> Body,
    ) -> Result<Self, String> {
        match broken_message {
            BrokenMessage { id: Some(id), has_method: true, .. } => Ok(Self::Malformed { id, problem }),
            BrokenMessage { id: Some(id), has_method: false, has_result } => {
                let id = id.parse().map_err(|_| format!("it answers `{id}`, which was never asked"))?;
                Ok(Self::Answer { id, body: refused(problem, has_result) })
            }
            BrokenMessage { id: None, .. } => Err(problem),
        }
    }
}

impl Body {
    fn of(result: Option<Outcome<'_>>, error: Option<RawError<'_>>) -> Self {
        match (result, error) {
            (Some(Outcome { output: Some(output), .. }), None) => match Value::of_raw(output.to_owned()) {
                Ok(output) => Self::Output(output),
                Err(problem) => Self::Refused(problem.to_string()),
            },
            (Some(Outcome { capabilities, components, .. }), None) => {
                Handshake::of(capabilities, components).map_or_else(Self::Malformed, Self::Handshake)
            }
            (None, Some(RawError { code, message, data })) => {
                Self::Error(RpcError { code, message, data: data.map(details) })
            }
            (Some(_), Some(_)) => Self::Malformed("it has a `result` and an `error`".to_owned()),
            (None, None) => Self::Malformed("it has no `result` and no `error`".to_owned()),
        }
    }
}

impl Handshake {
    fn of(capabilities: Option<WorkerCapabilities>, listed: Option<Vec<&RawValue>>) -> Result<Self, String> {
        let mut left_out = Vec::new();
        let Some(listed) = listed else { return Ok(Self { capabilities, components: None, left_out }) };
        let mut components = Vec::with_capacity(listed.len());
        for (index, raw) in listed.into_iter().enumerate() {
            match Value::of_raw(raw.to_owned()) {
                Ok(info) => components.push(info.deserialize().map_err(|error| error.to_string())?),
                Err(problem) => left_out.push(format!("component {} of its list: {problem}", index + 1)),
            }
        }
        Ok(Self { capabilities, components: Some(components), left_out })
    }
}

/// The data of an error. If it is not a valid value, its valid members are kept: the failure itself must not be lost.
fn details(raw: &RawValue) -> Value {
    let refused = |problem: ValueError| Value::string(&format!("refused: {problem}"));
    Value::of_raw(raw.to_owned()).unwrap_or_else(|problem| {
        match serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(raw.get()) {
            Ok(members) => Value::object(
                members.into_iter().map(|(name, member)| (name, Value::of_raw(member).unwrap_or_else(refused))),
            ),
            Err(_) => refused(problem),
        }
    })
}

/// The server numbers its requests: an id that is not a number belongs to none of them.
fn number(id: &RawValue) -> Result<i64, String> {
    id.get().parse().map_err(|_| format!("it answers `{}`, which was never asked", id.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(line: &str) -> Body {
        match Message::read(line.as_bytes()).unwrap() {
            Message::Answer { id: 7, body } => body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_output_is_kept_as_text() {
        let Body::Output(output) = body(r#"{"id":7,"result":{"output":{"b":1.0,"a":1e400}},"jsonrpc":"2.0"}"#) else {
            panic!("no output")
        };
        assert_eq!(output.as_str(), r#"{"b":1.0,"a":1e400}"#);
    }

    #[test]
    fn null_is_an_output() {
        assert!(matches!(body(r#"{"id":7,"result":{"output":null}}"#), Body::Output(value) if value.is_null()));
    }

    #[test]
    fn a_component_that_no_json_says_is_left_out_of_a_list_alone() {
        let listed = r#"{"id":7,"result":{"components":[{"component":"/a"},{"component":"/\ud800"},
            {"component":"/b","input_schema":{"type":"object","type":"array"}},{"component":"/c"}]}}"#;
        let Body::Handshake(Handshake { components: Some(components), left_out, .. }) = body(listed) else { panic!() };
        assert_eq!(components.iter().map(|each| each.component.as_str()).collect::<Vec<_>>(), ["/a", "/c"]);
        assert!(left_out[0].starts_with("component 2 of its list: "), "{left_out:?}");
        assert!(left_out[1].contains("a key appears twice"), "{left_out:?}");
        assert!(matches!(body(r#"{"id":7,"result":{"components":[{"name":"/a"}]}}"#), Body::Malformed(_)));
    }

    #[test]
    fn a_null_error_beside_a_result_counts_as_absent() {
        assert!(matches!(body(r#"{"id":7,"error":null,"result":{"output":1}}"#), Body::Output(_)));
    }

    #[test]
    fn an_answer_of_the_wrong_shape_still_ends_its_request() {
        for line in [r#"{"id":7}"#, r#"{"id":7,"result":3}"#, r#"{"id":7,"error":"no"}"#, r#"{"id":7,"result":null}"#] {
            assert!(matches!(body(line), Body::Malformed(_)), "{line}");
        }
    }

    #[test]
    fn what_is_not_a_message_is_refused() {
        for line in ["hello", "3", r#"{"a":1}"#, r#"{"port":1}"#, r#"{"id":"x","result":{}}"#, "[1]", ""] {
            assert!(Message::read(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_port_announces_an_http_worker() {
        assert_eq!(announced_port(br#"{"port": 44661}"#), Some(44661));
        for line in ["[44661]", r#"{"port": "44661"}"#, r#"{"port": 70000}"#, r#"{"jsonrpc": "2.0", "port": 1}"#] {
            assert_eq!(announced_port(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_request_keeps_the_spelling_of_its_id() {
        let line = br#"{"jsonrpc":"2.0","id":"4-\u0061","method":"blobs/get","params":{"blob_id":"x"}}"#;
        let Ok(Message::Request { id, method, params: Some(_) }) = Message::read(line) else { panic!("no request") };
        assert_eq!((id.get(), method.as_ref()), (r#""4-\u0061""#, "blobs/get"));
    }
}
