//! Components that workers serve, over JSON-RPC. The server starts worker processes and speaks to them on their pipes
//! or over HTTP, or it speaks to workers that somebody else has started, at their addresses.
//!
//! A plugin is a `host` over a `pool` of instances. The pool knows tasks and instances and no transport; `connection`
//! is the server's end of one conversation, and `wire` sends its messages. A transport
//!
//! - adds an instance with `Core::add_instance`, which takes a `Wire` and returns an `InstanceId`,
//! - passes every message of the worker to `Caller::receive`; if it came on the stream of an execute, that execute has
//!   sent it,
//! - does the handshake with `Core::greet`, after which the instance gets tasks,
//! - calls `Pool::unreached` or `Pool::lose_execute` when one message did not arrive or its answer will not, and
//!   `Pool::remove_instance` when the worker is gone,
//! - replaces an instance that is `Leaving`, and one whose cancelled execute does not end.
//!
//! `requests` serves the requests of workers.
//!
//! `http` speaks to addresses, and to processes that serve HTTP. `stdio` reads and writes lines and knows no protocol.
//! `worker_process` is a process with the tasks around its pipes, and `supervisor` keeps one running in each of the
//! plugin's slots. `process` has all platform code. `watcher` is a process that ends what workers have started, when
//! the server cannot.

mod broken;
mod caller;
mod connection;
mod core;
mod crash;
mod execute;
mod host;
mod http;
mod message;
mod options;
mod pool;
mod process;
mod requests;
mod start_error;
mod status;
mod stderr_tail;
mod stdio;
mod supervisor;
mod watcher;
mod wire;
mod worker_process;

pub use host::WorkerHost;
pub use http::{is_open_to_others, url_problem};
pub use options::{HealthCheck, RestartPolicy, Transport, WorkerOptions};
pub use start_error::{LAST_LINES, StartError};
pub use status::{Health, InstanceState, InstanceStatus};
pub use watcher::{WATCH_WORKERS, watch_workers};
