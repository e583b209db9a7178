//! Keeps what must outlive a step: journals, the rows that are read, flows and blobs.
//!
//! Two stores: in memory, and in SQLite (feature `sqlite`). Their rows are the projection of their journals, in the
//! same step, so that a reader never sees one without the other.

mod memory;
mod rows;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use memory::{MemoryStore, Options};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
