//! Keeps what must outlive a step: journals, the rows that are read, flows and blobs.
//!
//! One store so far, in memory. Its rows are the projection of its journals, in the same step, so that a reader never
//! sees one without the other.

mod memory;
mod rows;

pub use memory::{MemoryStore, Options};
