//! Runs flows: decides what happens next, records it, and has it carried out.
//!
//! [`machine`] is pure: `decide` and `fold` over a journal of [`event`]s. [`Engine`] drives machines: it appends their
//! events to the journal and only then carries out what is owed, through the [`ports`].

mod attempts;
mod command;
mod driver;
mod engine;
pub mod event;
pub mod machine;
mod notice;
mod options;
pub mod ports;
mod progress;
mod reading;
mod shard;
mod submission;
mod subscription;

pub use attempts::attempts_of;
pub use engine::{Engine, Mailbox, inbox};
pub use notice::Notice;
pub use options::{Options, Ports};
pub use progress::{StepChange, StepProgress};
pub use shard::{Shards, shard_of};
pub use submission::{CancelError, Error, ItemMisfit, Origin, Parent, Submission};
pub use subscription::Subscription;
