//! The engine over the in-memory store: runs from submit to end, as a client sees them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attempts;
mod bench;
mod control;
mod runs;
mod subscribers;
