//! Workers over HTTP: each message is a separate POST, and its answer is one message or a stream of them.
//!
//! `sse` reads streams and `address` URLs. `connections` keeps connections open, `client` sends requests over them,
//! `refused` reads the answers of a server that did not take a message, and `upload` is the body of a request.
//! `session` says how messages reach a worker, `traffic` holds the open messages, and `conversation` is the two
//! together. A `peer` is a worker that somebody else has started, and `supervisor` keeps the connection to it; `local`
//! is a process of ours that serves HTTP.

mod address;
mod client;
mod connections;
mod conversation;
mod local;
mod peer;
mod refused;
mod session;
mod sse;
mod supervisor;
mod traffic;
mod upload;

pub(crate) use conversation::Conversation;
pub(crate) use local::move_to;
pub(crate) use supervisor::supervise;

/// Why a URL cannot be that of a worker, or `None` if it can.
#[must_use]
pub fn url_problem(url: &str) -> Option<String> {
    address::Address::parse(url).err()
}

/// Whether others could read what is sent to a worker at this URL: it leaves this machine unencrypted.
#[must_use]
pub fn is_open_to_others(url: &str) -> bool {
    address::Address::parse(url).is_ok_and(|address| address.is_open_to_others())
}
