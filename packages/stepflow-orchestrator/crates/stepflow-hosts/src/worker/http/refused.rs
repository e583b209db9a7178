//! A message that a worker's HTTP server, or a proxy before it, did not take, and how to tell people about it.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use stepflow_protocol::{Value, rpc_error_codes};

/// How much is shown of a text that is not JSON.
const SHOWN: usize = 200;

/// An answer with a status that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// What servers write into the bodies of such answers: JSON-RPC with and without an id, FastAPI, ours.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    detail: Option<Value>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, body: Bytes) -> Self {
        Self { status, body }
    }

    /// Whether the body is the answer to a request, and so says more than the status.
    pub(crate) fn is_answer(&self) -> bool {
        serde_json::from_slice::<ErrorBody>(&self.body)
            .is_ok_and(|body| body.id.is_some_and(|id| !id.is_null()) && body.error.is_some())
    }

    /// Whether the worker says, as the protocol does, that it has done nothing and another one may.
    pub(crate) fn is_not_accepted(&self) -> bool {
        let body = serde_json::from_slice::<ErrorBody>(&self.body).ok();
        let code = body.and_then(|body| body.error?.field("code"));
        code.is_some_and(|code| code == Value::from(rpc_error_codes::NOT_ACCEPTED))
    }

    /// Whether the worker, or a server before it, says that it is not available or has too much to do.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
    }

    /// Whether a server before the worker says that the worker was lost.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
    }

    /// Whether the same message may be sent again, if it does no harm to receive it twice.
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.status.is_server_error() || self.is_unavailable()
    }

    /// The status, what the body says about it, and what to do about it where that is known.
    pub(crate) fn problem(&self) -> String {
        let said = self.said();
        let colon = if said.is_empty() { "" } else { ": " };
        let hint = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; the plugin's `token` has to be the worker's",
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => "; is the plugin's `url` that of a worker?",
            _ => "",
        };
        format!("HTTP {}{colon}{said}{hint}", self.status)
    }

    fn said(&self) -> String {
        if let Ok(body) = serde_json::from_slice::<ErrorBody>(&self.body)
            && let Some(said) = body.error.or(body.detail).filter(|said| !said.is_null())
        {
            let message = said.field("message").and_then(|message| message.text());
            return message.or_else(|| said.text()).unwrap_or_else(|| said.to_string());
        }
        let text = String::from_utf8_lossy(&self.body);
        if text.trim_start().starts_with('<') {
            return "a page of HTML".to_owned();
        }
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(SHOWN).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &'static str) -> Refused {
        Refused::new(StatusCode::from_u16(status).unwrap(), Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn every_body_that_servers_write_is_understood() {
        for (body, said) in [
            (r#"{"error":{"code":-32600,"message":"Failed to decode"}}"#, "HTTP 400 Bad Request: Failed to decode"),
            (r#"{"jsonrpc":"2.0","id":null,"error":"text"}"#, "HTTP 400 Bad Request: text"),
            (r#"{"detail":"Not Found"}"#, "HTTP 400 Bad Request: Not Found"),
            (r#"{"detail":[{"loc":["body"]}]}"#, r#"HTTP 400 Bad Request: [{"loc":["body"]}]"#),
            ("<!DOCTYPE html><html>…", "HTTP 400 Bad Request: a page of HTML"),
            ("no\n  such thing", "HTTP 400 Bad Request: no such thing"),
            ("[1]", "HTTP 400 Bad Request: [1]"),
            ("", "HTTP 400 Bad Request"),
        ] {
            assert_eq!(refused(400, body).problem(), said);
            assert!(!refused(400, body).is_answer(), "{body}");
        }
    }

    #[test]
    fn a_whole_answer_counts_whatever_its_status() {
        assert!(refused(500, r#"{"id":"7","error":{"code":-32603,"message":"m"},"jsonrpc":"2.0"}"#).is_answer());
    }

    #[test]
    fn what_can_be_done_is_said() {
        assert!(refused(401, "").problem().ends_with("the plugin's `token` has to be the worker's"));
        assert!(refused(404, "").problem().ends_with("is the plugin's `url` that of a worker?"));
    }
}
