//! Where components run: in this process (`builtin`), in a worker process (`worker`) or nowhere (`mock`). `router`
//! finds the host of a component by its path.
//!
//! Every host implements the engine's `ComponentHost`: tasks are offered, answers come back through the `Inbox`.

mod blob_content;
mod builtin;
mod components;
mod fair;
mod http;
mod mock;
mod pattern;
mod router;
mod served;
mod worker;

pub use builtin::{BuiltinHost, BuiltinOptions, OpenAiOptions, RENDER_TEMPLATES, base_url_problem, render_templates};
pub use fair::{FairQueue, Lane};
pub use mock::{Behavior, MockHost, MockOptions, MockOverlay, Mocks};
pub use router::{Condition, RouteError, Router, Rule};
pub use served::{RunRequest, Runs, RunsError, ServedToWorkers};
pub use worker::{
    Health, HealthCheck, InstanceState, InstanceStatus, LAST_LINES, RestartPolicy, StartError, Transport,
    WATCH_WORKERS, WorkerHost, WorkerOptions, is_open_to_others, url_problem, watch_workers,
};
