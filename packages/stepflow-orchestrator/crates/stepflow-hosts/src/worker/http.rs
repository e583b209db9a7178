//! Workers over HTTP: each message is a POST of its own, its answer one message or a stream of them.
//!
//! `sse` reads streams and `address` URLs; `connections` keeps connections open, `client` is what is said over them and
//! `refused` what servers say instead of an answer; `upload` is a message on its way. `session` is how messages reach a worker, `traffic` the messages
//! under way, `conversation` the two together. A `peer` is a worker that somebody else has started, and
//! `supervisor` keeps to it; `local` is a process of ours that serves HTTP.

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

/// Why a URL cannot be that of a worker, if so.
#[must_use]
pub fn url_problem(url: &str) -> Option<String> {
    address::Address::parse(url).err()
}

/// Whether others may read what is sent to a worker at this URL: it leaves this machine unencrypted.
#[must_use]
pub fn is_open_to_others(url: &str) -> bool {
    address::Address::parse(url).is_ok_and(|address| address.is_open_to_others())
}
