//! The engine over a store that can fail: appends are refused, answered late and lost in crashes. Each run must still
//! have the same result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ahead;
mod calls;
mod cancels;
mod clock;
mod connection;
mod crashes;
mod drains;
#[path = "../simulation/flows.rs"]
#[allow(dead_code)]
mod flows;
mod given_up;
mod host;
mod invariants;
mod late;
mod marks;
mod memory;
#[path = "../simulation/naive.rs"]
mod naive;
mod news;
mod openings;
mod panics;
mod parks;
mod questions;
mod random;
mod refusals;
mod replaced;
mod requests;
mod store;
mod story;
mod suspects;
mod waits;
