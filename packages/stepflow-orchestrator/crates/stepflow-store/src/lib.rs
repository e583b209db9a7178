//! Keeps what must not be lost with a step: journals, rows to read, flows and blobs.
//!
//! There are two stores: in memory, and in SQLite (feature `sqlite`). Their rows are computed from their journals in
//! the same step, so a reader never sees one without the other.

mod memory;
mod rows;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use memory::{MemoryStore, Options};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
