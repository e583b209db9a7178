//! Components that a worker process serves, over JSON-RPC.
//!
//! `connection` knows the protocol and no transport; `stdio` knows pipes and no protocol; `process` is the only file
//! with platform code; `host` ties them to the engine, and `supervisor` keeps a process alive under it.

mod blobs;
mod connection;
mod execute;
mod host;
mod link;
mod message;
mod options;
mod process;
mod start_error;
mod stdio;
mod supervisor;

pub use host::{Health, StdioWorker};
pub use options::{RestartPolicy, WorkerOptions};
pub use start_error::StartError;
