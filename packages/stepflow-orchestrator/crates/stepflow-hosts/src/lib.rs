//! Where components run: in this process (`builtin`) or in a worker process (`worker`), found by path (`router`).
//!
//! Every host implements the engine's `ComponentHost`: tasks are offered, answers come back through the `Inbox`.

mod builtin;
mod components;
mod fair;
mod pattern;
mod router;
mod worker;

pub use builtin::{BuiltinHost, BuiltinOptions};
pub use fair::FairQueue;
pub use router::{RouteError, Router, Rule};
pub use worker::{Health, RestartPolicy, StartError, StdioWorker, WorkerOptions};
