//! The ports of the engine: hosts for components, a store, a clock.

mod clock;
mod hosts;
mod queries;
mod store;

pub use clock::{Clock, SystemClock};
pub(crate) use hosts::forbids_retry;
pub use hosts::{Address, Answer, ComponentHost, Failure, Inbox, Lost, Purity, Target, TaskEnvelope, max_suspects};
pub use queries::{AttemptRow, FlowRow, Flows, ItemCounts, ItemRow, Queries, RunFilter, RunRow, StepRow, in_order};
pub use store::{
    Append, AppendRef, Appended, Blob, Blobs, Commits, Created, Deleted, Due, Journal, NewRun, OpenRoot, Outage, Owned,
    Page, RunState, StagedInputs, StoreError,
};
